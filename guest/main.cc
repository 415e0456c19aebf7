// The probe guest: brings the machine up, then answers packets, checks RAM and watches its own time.

#include "guest/acpi.h"
#include "guest/boot_info.h"
#include "guest/clock.h"
#include "guest/control.h"
#include "guest/cpu.h"
#include "guest/gap.h"
#include "guest/interrupts.h"
#include "guest/lapic.h"
#include "guest/network.h"
#include "guest/pattern.h"
#include "guest/pci.h"
#include "guest/serial.h"
#include "guest/smp.h"
#include "guest/text.h"
#include "guest/virtio_net.h"

extern "C" const uint8_t image_end[];

namespace pagurus::guest {
namespace {

// Survives a reset because no loader writes there: it is behind the image and below the pattern.
struct BootRecord {
  uint64_t magic;
  uint64_t count;
  uint64_t check;  // ~(magic ^ count)
};
constexpr uint64_t kBootRecordAddress = 14 << 20;
constexpr uint64_t kBootMagic = 0x5041475550524f42;

constinit GapTracker gaps;
constinit Pattern pattern;
constinit Responder responder;

void say(TextView text) { serial().write_now(text); }

uint64_t count_boot() {
  auto* record = reinterpret_cast<BootRecord*>(kBootRecordAddress);
  const bool valid = record->magic == kBootMagic && record->check == ~(record->magic ^ record->count);
  const uint64_t count = valid ? record->count + 1 : 1;
  *record = {kBootMagic, count, ~(kBootMagic ^ count)};
  return count;
}

void report_boot(uint64_t boots) {
  Text<512> line;
  line.put("PROBE BOOT count=").dec(boots).put(" ram=").dec(boot_info().ram_bytes() >> 20).put("M image_end=");
  line.hex(reinterpret_cast<uint64_t>(image_end)).put(" tsc_khz=").dec(clock().khz()).put(" tsc_source=");
  line.put(clock().source()).put(" acpi=").put(acpi().found ? "yes" : "no").put(" cpus=").dec(acpi().cpu_count);
  line.put("\nPROBE COMMAND LINE ").put(boot_info().command_line()).put("\n");
  say(line.view());
}

void fill_pattern() {
  constexpr uint64_t kPage = 4096;
  const uint64_t base = boot_info().number("pattern_at", 16 << 20) & ~(kPage - 1);
  const uint64_t size = boot_info().number("pattern", 16 << 20) & ~(kPage - 1);
  uint64_t stride = boot_info().number("stride", 64);
  if (stride < 8 || stride > Pattern::kMaxStride || (stride & (stride - 1)) != 0) stride = 64;
  if (size == 0) return;
  Text<128> line;
  if (base < kBootRecordAddress + kPage || base + size > uint64_t{4} << 30 || !boot_info().is_ram({base, size})) {
    say(line.put("PROBE WARNING the pattern does not fit into RAM; none is checked\n").view());
    return;
  }
  const uint64_t start = read_tsc();
  pattern.fill(base, size, stride);
  line.put("PROBE PATTERN base=").hex(base).put(" bytes=").dec(size).put(" stride=").dec(stride);
  say(line.put(" fill_us=").dec(clock().to_ns(read_tsc() - start) / 1000).put("\n").view());
}

bool start_network(Control& control) {
  const NetDevice::Status status = net_device().start();
  if (status != NetDevice::Status::ok) {
    Text<128> line;
    say(line.put("PROBE ERROR ").put(NetDevice::explain(status)).put("\n").view());
    return false;
  }
  uint32_t ip = parse_ipv4(boot_info().word("ip"));
  if (ip == 0) ip = parse_ipv4("10.0.0.2");
  responder.init(net_device(), ip, control);
  return true;
}

void report_ready() {
  Text<256> line;
  TextView ip = boot_info().word("ip");
  if (parse_ipv4(ip) == 0) ip = "10.0.0.2";
  line.put("PROBE READY ip=").put(ip).put(" mac=");
  for (unsigned i = 0; i < 6; ++i) {
    const uint8_t byte = net_device().mac().bytes[i];
    const char digits[2] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    line.put(i == 0 ? "" : ":").put({digits, 2});
  }
  line.put(" features=").hex(net_device().features()).put(" cpus=").dec(online_processors());
  say(line.put(" queues=").dec(net_device().pair_count()).put("\n").view());
}

// The main loop.  Three modes differ in what makes a gap visible and whether the processor sleeps:
//   tick (default)  sleeps; a timer interrupt is late by the gap (seen with the resolution of one period)
//   poll            never sleeps, uses no interrupt; a tick is a time that has come
//   spin            never sleeps; the gap is the time between two turns of the loop
class MainLoop {
 public:
  explicit MainLoop(Control& control) : control_(control) {
    spin_ = boot_info().number("spin", 0) != 0;
    sleep_ = !spin_ && boot_info().number("poll", 0) == 0;
    check_ = boot_info().number("check", 1) != 0;
    // While spinning, the answer to one packet must not look like a gap.
    batch_ = static_cast<unsigned>(boot_info().number("batch", spin_ ? 1 : 16));
    uint64_t hz = boot_info().number("hz", 1000);
    if (hz == 0) hz = 1;
    period_ = clock().khz() * 1000 / hz;
    slice_ = clock().from_us(boot_info().number("slice_us", 30));
    serial_period_ = clock().from_us(10000);
  }

  [[noreturn]] void run() {
    if (sleep_) timer_.init(kTimerVector, period_);
    const uint64_t now = read_tsc();
    gaps.init(now, boot_info().number("gap_us", 1000));
    next_serial_ = now;
    rearm(now);
    previous_ = now;
    for (;;) turn();
  }

 private:
  void turn() {
    NetDevice& net = net_device();
    const uint64_t now = read_tsc();
    const bool ticked = watch(now);
    const unsigned handled = net.poll(batch_, [](Frame& frame) { return responder.answer(frame); });
    if (handled != 0) {
      if (const uint64_t end = control_.take_busy_until(); end != 0) forgiven_until(end);
      if (control_.action() != Control::Action::none) obey();
      return;
    }
    if (ticked || spin_ || !sleep_) idle_work(now);
    if (sleep_ && net.arm_interrupts()) wait_for_interrupt();
  }

  // Looks for a gap; true if a tick has come.
  bool watch(uint64_t now) {
    if (spin_) {
      if (gaps.observe(previous_, now)) announce();
      previous_ = now;
      return false;
    }
    if (static_cast<int64_t>(now - next_tick_) < 0) return false;
    if (gaps.observe(next_tick_, now)) announce();
    rearm(now);
    return true;
  }

  void rearm(uint64_t now) {
    next_tick_ = now + period_;
    if (sleep_) timer_.rearm(now);
  }

  void idle_work(uint64_t now) {
    if (check_) pattern.check_slice(slice_, net_device().watch());
    if (serial().has_output()) serial().drain(sleep_ ? 16 : 1);
    if (static_cast<int64_t>(now - next_serial_) >= 0) {
      next_serial_ = now + serial_period_;
      const TextView line = serial().poll_line();
      if (line.size != 0) typed(line);
    }
  }

  void typed(TextView line) {
    const uint64_t start = read_tsc();
    Reply reply;
    control_.execute(line, reply);
    serial().write(reply.put("PROBE END\n").view());
    const uint64_t end = read_tsc();
    gaps.forgive(start, end);
    forgiven_until(end);
    if (control_.action() != Control::Action::none) obey();
  }

  void announce() {
    Text<160> line;
    const Gap& gap = gaps.longest_gap();
    line.put("PROBE GAP ns=").dec(clock().to_ns(gap.end - gap.start)).put(" start_tsc=").dec(gap.start);
    serial().write(line.put(" end_tsc=").dec(gap.end).put("\n").view());
    forgiven_until(read_tsc());
  }

  // What the probe spent itself on words is no gap.
  void forgiven_until(uint64_t tsc) {
    previous_ = tsc;
    if (static_cast<int64_t>(tsc - next_tick_) > 0) next_tick_ = tsc;
  }

  [[noreturn]] void obey() {
    net_device().flush();
    if (control_.action() == Control::Action::reset) {
      say("PROBE RESET\n");
      reset_machine();
    }
    say("PROBE POWEROFF\n");
    power_off();
    say("PROBE ERROR the machine did not power off\n");
    halt_forever();
  }

  Control& control_;
  TickTimer timer_;
  bool spin_ = false;
  bool sleep_ = true;
  bool check_ = true;
  unsigned batch_ = 16;
  uint64_t period_ = 0;
  uint64_t slice_ = 0;
  uint64_t next_tick_ = 0;
  uint64_t previous_ = 0;
  uint64_t next_serial_ = 0;
  uint64_t serial_period_ = 0;
};

[[noreturn]] void start(uint64_t start_info) {
  const uint64_t boot_tsc = read_tsc();
  boot_info().read(start_info);
  serial().init();
  build_interrupt_table();
  load_interrupt_table();
  if (!boot_info().valid()) say("PROBE WARNING no PVH start info\n");
  const uint64_t boots = count_boot();
  read_acpi(boot_info().rsdp());
  clock().init();
  report_boot(boots);
  enable_lapic();
  init_pci(boot_info().number("ecam", acpi().ecam_base));
  fill_pattern();
  Control control({gaps, pattern, responder}, boot_tsc, boots);
  const uint64_t processors = boot_info().number("smp", 1);
  if (processors > 1) start_application_processors(static_cast<unsigned>(processors - 1));
  if (!start_network(control)) power_off();
  report_ready();
  MainLoop(control).run();
}

}  // namespace
}  // namespace pagurus::guest

extern "C" [[noreturn]] void guest_main(uint64_t start_info) { pagurus::guest::start(start_info); }
