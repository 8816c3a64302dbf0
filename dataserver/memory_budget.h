// A bound on memory that several connections share. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace skein {

class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t bytes) : left_(bytes) {}

  // A part of the budget, given back by its destructor. Empty if nothing was left.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept
        : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Share() {
      if (bytes_ > 0) budget_->left_ += bytes_;
    }
    std::size_t bytes() const { return bytes_; }

   private:
    friend class MemoryBudget;
    Share(MemoryBudget* budget, std::size_t bytes) : budget_(budget), bytes_(bytes) {}
    MemoryBudget* budget_ = nullptr;
    std::size_t bytes_ = 0;
  };

  Share take(std::size_t bytes) {
    std::size_t left = left_;
    while (left >= bytes) {
      if (left_.compare_exchange_weak(left, left - bytes)) return Share(this, bytes);
    }
    return {};
  }

 private:
  std::atomic<std::size_t> left_;
};

}  // namespace skein
