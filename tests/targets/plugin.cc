// A library that plugin_host loads: PluginInit runs while it is loaded and calls PluginLeaf once,
// PluginWork calls it as often as it is told, PluginExit once when it is unloaded.

#include <cstdint>

#define COUNTED extern "C" __attribute__((noinline, noipa))

COUNTED uint64_t PluginLeaf(uint64_t value) { return value + 2; }

COUNTED uint64_t PluginWork(uint64_t times) {
  uint64_t value = 0;
  for (uint64_t i = 0; i < times; ++i) value = PluginLeaf(value);
  return value;
}

volatile uint64_t sink;

COUNTED __attribute__((constructor)) void PluginInit() { sink = PluginLeaf(sink); }
COUNTED __attribute__((destructor)) void PluginExit() { sink = PluginLeaf(sink); }
