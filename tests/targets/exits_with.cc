// Ends with the exit code given as its only argument, through two of its own functions.

#include <cstdlib>

__attribute__((noipa)) int ParseCode(const char* text) { return std::atoi(text); }

__attribute__((noipa)) void LeaveWith(int code) { std::exit(code); }

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  LeaveWith(ParseCode(argv[1]));
}
