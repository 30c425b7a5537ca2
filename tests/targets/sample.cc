// A small order service to record: four workers parse, check, price and book a fixed list of
// orders. Every function that sample_counts.tsv lists is called exactly that often, whatever the
// timing: orders are dealt to workers by number, and none of them shares state with another.
// Exceptions are thrown and caught at four depths; AssessRisk takes most of the time.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

// Keeps a function a function: no inlining, cloning, folding or removal of repeated calls.
#define ONE_CALL_EACH __attribute__((noipa))

namespace orders {

// Hides where a value comes from: without it the compiler turns self-recursion into a loop.
inline int64_t Opaque(int64_t value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}

constexpr int kWorkers = 4;
constexpr int kOrders = 2000;
constexpr int kFieldsPerOrder = 4;
constexpr int kRiskRounds = 100000;

struct BadField : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct MalformedOrder : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct OutOfStock : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Order {
  std::array<int64_t, kFieldsPerOrder> fields{};
  int64_t id() const { return fields[0]; }
  int64_t sku() const { return fields[1]; }
  int64_t quantity() const { return fields[2]; }
  int64_t customer() const { return fields[3]; }
};

struct Totals {
  int64_t booked = 0;
  int64_t malformed = 0;
  int64_t out_of_stock = 0;
  int64_t escalated = 0;
  int64_t revenue = 0;
};

// Counts how often a reservation is given back, on the normal way out and while unwinding.
class Reservation {
 public:
  ONE_CALL_EACH explicit Reservation(int64_t* open) : open_(open) { ++*open_; }
  ONE_CALL_EACH ~Reservation() { --*open_; }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

 private:
  int64_t* open_;
};

class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual int64_t Quote(int64_t weight) const = 0;
};

class Truck : public Carrier {
 public:
  ONE_CALL_EACH int64_t Quote(int64_t weight) const override { return 40 + weight * 3; }
};

class Plane : public Carrier {
 public:
  ONE_CALL_EACH int64_t Quote(int64_t weight) const override { return 90 + weight * 11; }
};

// Every 50th line has a quantity that is no number.
ONE_CALL_EACH std::string MakeOrderLine(int number) {
  std::string quantity = number % 50 == 0 ? "many" : std::to_string(1 + number % 9);
  return std::to_string(number) + ";" + std::to_string(number % 20) + ";" + quantity + ";" +
         std::to_string(number % 100);
}

ONE_CALL_EACH int64_t ParseField(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw BadField("not a number: " + std::string(text));
  }
  return value;
}

ONE_CALL_EACH Order ParseOrder(std::string_view line) {
  Order order;
  size_t begin = 0;
  for (int64_t& field : order.fields) {
    size_t end = std::min(line.find(';', begin), line.size());
    try {
      field = ParseField(line.substr(begin, end - begin));
    } catch (const BadField& error) {
      throw MalformedOrder("order line '" + std::string(line) + "': " + error.what());
    }
    begin = end + 1;
  }
  return order;
}

// Walks five shelves down by recursion; the last shelf of article 7 is empty.
ONE_CALL_EACH int64_t FindShelf(const Order& order, int depth) {
  if (depth == 0) {
    if (order.sku() == 7) throw OutOfStock("article 7 is sold out");
    return order.sku();
  }
  return Opaque(FindShelf(order, depth - 1)) + depth;
}

// 2 * Fibonacci(legs + 1) - 1 calls in all: 25 for 6 legs.
ONE_CALL_EACH int64_t CountRoutes(int legs) {
  if (legs < 2) return 1;
  return Opaque(CountRoutes(legs - 1)) + Opaque(CountRoutes(legs - 2));
}

ONE_CALL_EACH uint64_t Mix(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdULL;
  return value ^ (value >> 29);
}

// The slow one: a chain of divisions that no compiler shortens.
ONE_CALL_EACH int64_t AssessRisk(const Order& order) {
  uint64_t state = static_cast<uint64_t>(order.customer()) + 3;
  for (int round = 1; round <= kRiskRounds; ++round) {
    state = state % (static_cast<uint64_t>(round) + 977) + (state << 7) / (state | 1) + 31;
    state += static_cast<uint64_t>(round) * 2654435761U;
  }
  return static_cast<int64_t>(state % 10);
}

ONE_CALL_EACH int64_t PriceOrder(const Order& order, const Carrier& carrier) {
  uint64_t price = static_cast<uint64_t>(order.quantity()) * 100;
  for (int i = 0; i < 10; ++i) price += Mix(price + static_cast<uint64_t>(i)) % 7;
  return static_cast<int64_t>(price) + carrier.Quote(order.quantity()) + CountRoutes(6) +
         AssessRisk(order);
}

ONE_CALL_EACH int64_t BookOrder(const Order& order, const Carrier& carrier, int64_t* open) {
  Reservation reservation(open);
  int64_t shelf = FindShelf(order, 5);
  return PriceOrder(order, carrier) + shelf;
}

// An order of customer 27 that cannot be served goes one level further up.
ONE_CALL_EACH void HandleOrder(std::string_view line, const Carrier& carrier, Totals* totals,
                               int64_t* open) {
  try {
    Order order = ParseOrder(line);
    try {
      totals->revenue += BookOrder(order, carrier, open);
      ++totals->booked;
    } catch (const OutOfStock&) {
      if (order.customer() == 27) throw;
      ++totals->out_of_stock;
    }
  } catch (const MalformedOrder&) {
    ++totals->malformed;
  }
}

ONE_CALL_EACH void RunWorker(int worker, const std::vector<std::string>& lines, Totals* totals) {
  std::unique_ptr<Carrier> carrier;
  if (worker % 2 == 0) {
    carrier = std::make_unique<Truck>();
  } else {
    carrier = std::make_unique<Plane>();
  }
  int64_t open = 0;
  for (size_t i = static_cast<size_t>(worker); i < lines.size(); i += kWorkers) {
    try {
      HandleOrder(lines[i], *carrier, totals, &open);
    } catch (const std::runtime_error&) {
      ++totals->escalated;
    }
  }
  totals->revenue += open;
}

ONE_CALL_EACH Totals AddTotals(const Totals& left, const Totals& right) {
  return {left.booked + right.booked, left.malformed + right.malformed,
          left.out_of_stock + right.out_of_stock, left.escalated + right.escalated,
          left.revenue + right.revenue};
}

}  // namespace orders

int main() {
  std::vector<std::string> lines;
  for (int number = 0; number < orders::kOrders; ++number) {
    lines.push_back(orders::MakeOrderLine(number));
  }
  std::array<orders::Totals, orders::kWorkers> totals;
  std::vector<std::thread> workers;
  for (int worker = 0; worker < orders::kWorkers; ++worker) {
    workers.emplace_back(orders::RunWorker, worker, std::cref(lines),
                         &totals[static_cast<size_t>(worker)]);
  }
  for (std::thread& worker : workers) worker.join();
  orders::Totals sum;
  for (const orders::Totals& one : totals) sum = orders::AddTotals(sum, one);
  std::printf("booked %lld, malformed %lld, out of stock %lld, escalated %lld, revenue %lld\n",
              static_cast<long long>(sum.booked), static_cast<long long>(sum.malformed),
              static_cast<long long>(sum.out_of_stock), static_cast<long long>(sum.escalated),
              static_cast<long long>(sum.revenue));
  return 0;
}
