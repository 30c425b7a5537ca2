// Functions that only a sled makes hookable, and one that needs none: how often each is called is known.
// test_plan.py compiles it in several ways.

#include <cstdio>

struct Node {
  Node* next;
};

// Shorter than a jump, where nothing pads them.
__attribute__((noinline)) int Leaf(int x) {
  asm volatile("");
  return x + 1;
}
__attribute__((noinline)) void Nothing() { asm volatile(""); }

// Its loop is its whole body.
__attribute__((noinline)) Node* Last(Node* node) {
  asm volatile("");
  while (node->next != nullptr) node = node->next;
  return node;
}

__attribute__((noinline)) int Sum(const int* values, int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += Leaf(values[i]);
  return sum;
}

int main() {
  const int values[4] = {1, 2, 3, 4};
  Node end{nullptr};
  Node middle{&end};
  Node start{&middle};
  int sum = 0;
  for (int i = 0; i < 250; ++i) sum += Sum(values, 4);
  for (int i = 0; i < 500; ++i) Nothing();
  for (int i = 0; i < 10; ++i) sum += Last(&start) == &end;
  std::printf("%d\n", sum);
}
