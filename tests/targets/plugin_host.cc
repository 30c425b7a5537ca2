// Does what it is told on standard input, a line each, and answers a line:
//
//   call         1000 calls of HostLeaf and of HostOther
//   load PATH    loads a plugin and calls its PluginWork(100)
//   unload       unloads it

#include <dlfcn.h>

#include <cstdint>
#include <iostream>
#include <string>

#define COUNTED extern "C" __attribute__((noinline, noipa))

COUNTED uint64_t HostLeaf(uint64_t value) { return value * 3 + 1; }
COUNTED uint64_t HostOther(uint64_t value) { return value * 5 + 1; }

COUNTED uint64_t HostCall() {
  uint64_t value = 0;
  for (int i = 0; i < 1000; ++i) value = HostOther(HostLeaf(value));
  return value;
}

COUNTED void* HostLoad(const std::string& path) {
  void* plugin = dlopen(path.c_str(), RTLD_NOW);
  if (plugin == nullptr) {
    std::cout << dlerror() << std::endl;
    return nullptr;
  }
  auto* const work = reinterpret_cast<uint64_t (*)(uint64_t)>(dlsym(plugin, "PluginWork"));
  std::cout << "plugin " << work(100) << std::endl;
  return plugin;
}

int main() {
  void* plugin = nullptr;
  for (std::string command; std::getline(std::cin, command);) {
    if (command == "call") {
      std::cout << "called " << HostCall() << std::endl;
    } else if (command == "unload") {
      std::cout << "unloaded " << dlclose(plugin) << std::endl;
    } else {
      plugin = HostLoad(command.substr(command.find(' ') + 1));
    }
  }
}
