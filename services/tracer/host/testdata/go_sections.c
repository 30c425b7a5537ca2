// A section as the Go linker makes it; nothing else of Go.
__attribute__((used, retain, section(".go.buildinfo"))) static const char kBuildInfo[] = "\xff Go buildinf:";

int main(void) { return 0; }
