#include "services/flightrec/listening_ports.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::cli {
namespace {

TEST(ListeningPorts, table_of_the_kernel__then_sockets_that_listen) {
  constexpr char kTable[] =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n"
      "   0: 0100007F:1B9F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
      "4242 1 0000000000000000 100 0 0 10 0\n"
      "   1: 0100007F:1BA0 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 "
      "4243 1 0000000000000000 100 0 0 10 0\n"
      "   2: 00000000000000000000000001000000:1BA1 00000000000000000000000000000000:0000 0A "
      "00000000:00000000 00:00000000 00000000     0        0 4244 1\n"
      "   3: cut 0A\n";
  const std::map<int, uint64_t> expected = {{7071, 4242}, {7073, 4244}};
  EXPECT_EQ(ParseListeningSockets(kTable), expected);
}

TEST(ListeningPorts, socket_of_this_test__then_it_is_the_holder) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const int port = ntohs(address.sin_port);
  ASSERT_EQ(listen(listener, 1), 0);
  const PortHolder holder = FindPortHolder(port);
  EXPECT_TRUE(absl::StartsWith(holder.label, absl::StrCat(getpid(), " ("))) << holder.label;
  EXPECT_FALSE(holder.ours);
  close(listener);
  EXPECT_EQ(FindPortHolder(port).label, "");
}

}  // namespace
}  // namespace flightrec::cli
