// Box<T>: a value of its own behind a pointer, for types that contain themselves.
//
// Copies copy the value.  A default-constructed Box is empty, so that a type may contain a Box of itself;
// reading one fills it, and a Box that is written must not be empty.
#pragma once

#include <memory>
#include <utility>

#include "base/result.h"

namespace pagurus::qapi {

template <class T>
class Box {
 public:
  Box() = default;
  Box(T value) : value_(std::make_unique<T>(std::move(value))) {}
  Box(const Box& other) : value_(other ? std::make_unique<T>(*other) : nullptr) {}
  Box(Box&&) noexcept = default;
  Box& operator=(const Box& other) {
    if (this != &other) *this = Box(other);
    return *this;
  }
  Box& operator=(Box&&) noexcept = default;
  ~Box() = default;

  explicit operator bool() const { return value_ != nullptr; }
  T* get() { return value_.get(); }
  const T* get() const { return value_.get(); }
  T& operator*() { return checked(*this); }
  const T& operator*() const { return checked(*this); }
  T* operator->() { return &checked(*this); }
  const T* operator->() const { return &checked(*this); }
  // Replaces the value with a new one.
  T& emplace() { return *(value_ = std::make_unique<T>()); }

  bool operator==(const Box& other) const {
    if (!value_ || !other.value_) return value_ == other.value_;
    return *value_ == *other.value_;
  }

 private:
  static auto& checked(auto& box) {
    CHECK(box.value_ != nullptr, "a box is filled before it is used");
    return *box.value_;
  }

  std::unique_ptr<T> value_;
};

template <class T>
inline constexpr bool kIsBox = false;
template <class T>
inline constexpr bool kIsBox<Box<T>> = true;

}  // namespace pagurus::qapi
