// A command line that is anything: every line of the input is a word of it.  Options by themselves, too,
// because the command line reaches each kind of device only behind the right words.
#include "app/command_line.h"
#include "chardev/chardev.h"
#include "device/virtio_net/config.h"
#include "fuzz/target.h"
#include "net/tap.h"
#include "qapi/keyval.h"

namespace pagurus::fuzz {
namespace {

void read_options(const std::string& text) {
  auto device = qapi::from_keyval<schema::DeviceOptions>(text);
  const auto* nic = device ? device->as_virtio_net_pci() : nullptr;
  if (nic != nullptr) {
    auto config = device::VirtioNetConfig::from(*nic, {.id = "nic0", .index = 0, .backend_transfer = true});
    if (!config) return;
    CHECK(device::parse_mac(device::to_string(config->mac)) == config->mac, "a MAC is what it says");
    CHECK(config->rx_queue_size <= device::kMaxNetQueueSize && config->tx_queue_size <= device::kMaxNetQueueSize,
          "a queue is no larger than a device can serve");
  }
  auto netdev = qapi::from_keyval<schema::Netdev>(text);
  if (netdev) (void)net::TapConfig::from(netdev->id, *netdev->as_tap());
}

void read_console(const std::string& text) {
  auto loop = event::Loop::create();
  CHECK(loop.has_value(), "an event loop");
  NamedFds named;
  // Nothing is opened before the machine is.
  if (auto options = qapi::from_keyval<schema::ChardevOptions>(text)) {
    (void)chardev::create_chardev(*options, named, **loop);
  }
  (void)chardev::expand_address(text, "serial0");
}

void read_command_line(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    size_t end = text.find('\n');
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  auto invocation = app::parse_command_line(words);
  if (!invocation || !invocation->print.empty()) return;
  const machine::Config& config = invocation->config;
  CHECK(config.vcpus >= 1 && memory::GuestMemory::create(config.ram_size, config.ram_pages).has_value(),
        "a command line that is accepted describes a machine that can be built");
}

}  // namespace

std::vector<Bytes> seeds() {
  return {bytes_of("virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,addr=1f,host_mtu=1500,rx_queue_size=1024,csum=off"),
          bytes_of("tap,id=n0,ifname=tap0,script=/a,,b,downscript=no,vnet_hdr=on,sndbuf=1M"),
          bytes_of("socket,id=c,path=/x,server=on,wait=off"),
          bytes_of("file,id=c,path=/x,append=on"),
          bytes_of("memory-backend-memfd,id=m,size=0x10000k,hugetlb=on"),
          bytes_of("-machine\npagurus-1.2\n-cpu\nhost\n-m\n256M\n-smp\n2\n-kernel\nk\n-initrd\ni\n-append\nquiet\n"
                   "-netdev\ntap,id=n0,ifname=tap0,script=no,downscript=no\n-device\n"
                   "virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56\n-serial\nstdio\n-qmp\n"
                   "unix:/run/a.qmp,server=on,wait=off\n-incoming\ndefer"),
          bytes_of("-name\nguest\n-uuid\n12345678-1234-1234-1234-123456789abc\n-S\n-chardev\nsocket,id=c,path=/x,"
                   "server=on,wait=off\n-mon\nchardev=c,mode=control\n-serial\nnull\n-pidfile\n/p\n-kernel\nk"),
          bytes_of("-object\nmemory-backend-memfd,id=m,size=64M,share=on\n-machine\npagurus-1.0,memory-backend=m\n"
                   "-kernel\nk\n-m\n64M\n-no-reboot\n-daemonize\n-serial\nfile:/l")};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus::fuzz;
  std::string text(reinterpret_cast<const char*>(data), size);
  read_options(text);
  read_console(text);
  read_command_line(text);
  return 0;
}
