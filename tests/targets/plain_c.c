/* A C program: sorts 1,000 numbers through a callback and sums a linked list by recursion.
   Calls: make_number 1000, push 1000, sum_list 1001; compare_numbers as often as qsort asks. */

#include <stdio.h>
#include <stdlib.h>

#define ONE_CALL_EACH __attribute__((noipa))
#define NUMBERS 1000

struct node {
  long value;
  struct node* next;
};

ONE_CALL_EACH static long make_number(long index) { return index * 7919 % 1009; }

ONE_CALL_EACH static int compare_numbers(const void* left, const void* right) {
  long difference = *(const long*)left - *(const long*)right;
  return (difference > 0) - (difference < 0);
}

ONE_CALL_EACH static struct node* push(struct node* head, struct node* fresh, long value) {
  fresh->value = value;
  fresh->next = head;
  return fresh;
}

ONE_CALL_EACH static long sum_list(const struct node* head) {
  long rest;
  if (head == NULL) return 0;
  rest = sum_list(head->next);
  __asm__ volatile("" : "+r"(rest)); /* keeps the recursion from becoming a loop */
  return head->value + rest;
}

int main(void) {
  static long numbers[NUMBERS];
  static struct node nodes[NUMBERS];
  struct node* head = NULL;
  for (long i = 0; i < NUMBERS; ++i) numbers[i] = make_number(i);
  qsort(numbers, NUMBERS, sizeof(numbers[0]), compare_numbers);
  for (long i = 0; i < NUMBERS; ++i) head = push(head, &nodes[i], numbers[i]);
  printf("smallest %ld largest %ld sum %ld\n", numbers[0], numbers[NUMBERS - 1], sum_list(head));
  return 0;
}
