// The main of a program built by `clang -fxray-instrument -Dmain=TracedMain`: records TracedMain
// with XRay's flight data recorder, whose options come from FDR_OPTIONS, and writes the log
// afterwards. The mode registers itself in a static initializer, so nothing before main may start
// it.

#include <stdio.h>
#include <stdlib.h>
#include <xray/xray_interface.h>
#include <xray/xray_log_interface.h>

int TracedMain(int argc, char** argv);

__attribute__((xray_never_instrument)) int main(int argc, char** argv) {
  const char* options = getenv("FDR_OPTIONS");
  if (__xray_log_select_mode("xray-fdr") != XRAY_REGISTRATION_OK ||
      __xray_log_init_mode("xray-fdr", options != nullptr ? options : "") != XRAY_LOG_INITIALIZED ||
      __xray_patch() != SUCCESS) {
    fputs("xray_session: the flight data recorder did not start\n", stderr);
    return 3;
  }
  int code = TracedMain(argc, argv);
  __xray_unpatch();
  if (__xray_log_finalize() != XRAY_LOG_FINALIZED || __xray_log_flushLog() != XRAY_LOG_FLUSHED) {
    fputs("xray_session: the log was not written\n", stderr);
    return 4;
  }
  return code;
}
