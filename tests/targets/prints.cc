// Echoes stdin to stdout line by line, then tells on stderr how many lines it saw and prints its
// arguments, so that a test can see that none of the three streams is touched by the recorder.

#include <iostream>
#include <string>

__attribute__((noipa)) void EchoLine(const std::string& line) { std::cout << line << '\n'; }

__attribute__((noipa)) void ReportLines(int lines) { std::cerr << "lines " << lines << '\n'; }

int main(int argc, char** argv) {
  int lines = 0;
  for (std::string line; std::getline(std::cin, line); ++lines) EchoLine(line);
  for (int i = 1; i < argc; ++i) std::cout << "argument " << i << ": " << argv[i] << '\n';
  ReportLines(lines);
  return 0;
}
