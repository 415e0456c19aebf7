// The command line of the process that takes a guest over, made from that of the process it leaves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pagurus::ctl {

// The descriptors the new process is started with.
inline constexpr int kControlFd = 3;  // connected: QMP between it and pagurusctl
inline constexpr int kLogFd = 4;      // where its log goes, unless -D names a file

// The id of the character device and the monitor that speak over kControlFd.
inline constexpr const char* kControlId = "pagurusctl";

// The guest's network where the command line does not tell it any more: values of the two options.
struct NetworkWords {
  std::vector<std::string> netdevs;
  std::vector<std::string> devices;
};

// What changes:
//  - argv[0] is `binary`;
//  - `-incoming X` becomes `-incoming defer`; -S goes, because the source's run state decides;
//    -daemonize goes, because pagurusctl has put the process into the background itself;
//  - QMP on standard input or on a connected descriptor goes, that of an earlier upgrade too: such
//    a connection belongs to the old process;
//  - the log descriptor of an earlier upgrade goes; a log file stays;
//  - QMP over kControlFd and the log over kLogFd are added;
//  - network back ends and devices become those of `network`, if that is there: the guest's network is not any
//    more what the command line says.
// Fails for an empty command line, and for one that is not a command line of pagurus.
Result<std::vector<std::string>> incoming_arguments(const std::vector<std::string>& running, const std::string& binary,
                                                    const std::optional<NetworkWords>& network);

}  // namespace pagurus::ctl
