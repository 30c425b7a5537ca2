// The mark of common/rpc's server.
__attribute__((used, retain, section(".flightrec_service"))) static const char kMark[] = "test";

int main(void) { return 0; }
