#include "services/flightrec/ps_command.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/flightrec/table.h"

namespace flightrec::cli {
namespace {

using capture::v1::HostProcess;

std::vector<HostProcess> Host() {
  std::vector<HostProcess> host(3);
  host[0].set_pid(1);
  host[0].set_process_name("init");
  host[0].set_user("root");
  host[0].set_threads(1);
  host[0].set_obstacle("ENDED");
  host[0].set_obstacle_description("process 1 (init) has ended");
  host[1].set_pid(1234);
  host[1].set_process_name("nginx");
  host[1].add_command("nginx");
  host[1].add_command("-g");
  host[1].set_user("www-data");
  host[1].set_threads(17);
  host[1].set_functions(2000);
  host[1].set_hookable_functions(1981);
  host[1].set_attachable(true);
  host[1].mutable_container()->set_container_id(std::string(64, 'a'));
  host[1].mutable_container()->set_runtime("podman");
  host[1].mutable_container()->set_image("nginx:1.25");
  host[2] = host[1];
  host[2].set_pid(1235);
  host[2].set_command(1, std::string(80, 'x'));
  host[2].clear_functions();
  host[2].clear_hookable_functions();
  host[2].mutable_container()->set_container_name("web");
  host[2].mutable_container()->set_pod("shop-1");
  return host;
}

TEST(Ps, processes_for_people__then_a_table_with_containers) {
  const View view = DescribeProcesses(Host(), CommandLine());
  EXPECT_EQ(view.heading, "3 processes, 2 can be attached to\n\n");
  EXPECT_EQ(
      Format(view.table, OutputFormat::kTable),
      "PID   USER      THREADS  FUNCTIONS  HOOKABLE  ATTACH     CONTAINER     IMAGE       POD     "
      "COMMAND\n"
      "1     root            1          -  -         no: ended  -             -           -       "
      "[init]\n"
      "1234  www-data       17      2,000  99 %      yes        aaaaaaaaaaaa  nginx:1.25  -       "
      "nginx -g\n"
      "1235  www-data       17          -  -         yes        web           nginx:1.25  shop-1  "
      "nginx xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\n");
  EXPECT_EQ(view.footnote,
            "flightrec ps PID says what is in the way of that process, and what to do about it");
}

TEST(Ps, host_without_containers__then_no_columns_for_them) {
  const View view = DescribeProcesses({Host()[0]}, CommandLine());
  EXPECT_EQ(view.heading, "1 process, 0 can be attached to\n\n");
  EXPECT_EQ(Format(view.table, OutputFormat::kTable),
            "PID  USER  THREADS  FUNCTIONS  HOOKABLE  ATTACH     COMMAND\n"
            "1    root        1          -         -  no: ended  [init]\n");
}

TEST(Ps, few_processes_that_were_asked_for__then_says_what_is_in_the_way) {
  CommandLine line;
  line.filter = "init";
  EXPECT_EQ(DescribeProcesses({Host()[0]}, line).footnote, "process 1 (init) has ended");
}

TEST(Ps, processes_for_programs__then_plain_values_and_the_whole_command) {
  CommandLine line;
  line.output = OutputFormat::kJson;
  const View view = DescribeProcesses({Host()[2]}, line);
  EXPECT_EQ(view.heading, "");
  EXPECT_EQ(view.footnote, "");
  const std::string json = Format(view.table, OutputFormat::kJson);
  EXPECT_NE(json.find("\"pid\": 1235"), std::string::npos) << json;
  EXPECT_NE(json.find("\"functions\": null"), std::string::npos) << json;
  EXPECT_NE(json.find("\"attachable\": true"), std::string::npos) << json;
  EXPECT_NE(json.find(std::string(80, 'x')), std::string::npos) << json;
}

}  // namespace
}  // namespace flightrec::cli
