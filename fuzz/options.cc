// A command line that is anything: options in key=value form, and what devices make of them.
#include "qapi/options.h"
#include "device/virtio_net/config.h"
#include "fuzz/target.h"
#include "net/tap.h"

namespace pagurus::fuzz {

std::vector<Bytes> seeds() {
  return {bytes_of("virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,addr=1f,host_mtu=1500,rx_queue_size=1024,csum=off"),
          bytes_of("tap,id=n0,ifname=tap0,script=/a,,b,downscript=no,vnet_hdr=on,sndbuf=1M"),
          bytes_of("memory-backend-memfd,id=m,size=0x10000k,hugetlb=on")};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto options = qapi::Options::parse(text, "driver", "fuzz");
  if (!options) return 0;
  (void)options->take_string("driver");
  auto nic = *options;
  (void)device::VirtioNetConfig::parse(nic, {.id = "nic0", .index = 0, .backend_transfer = true});
  auto tap = *options;
  (void)net::TapConfig::parse(tap);
  (void)qapi::parse_size(text, 1);
  return 0;
}
