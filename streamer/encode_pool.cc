#include "streamer/encode_pool.h"

#include <cassert>
#include <utility>

namespace skein {

EncodePool::EncodePool(Options options)
    : options_(std::move(options)), buffers_(options_.queue_bytes) {
  assert(options_.threads > 0);
  for (unsigned i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
}

EncodePool::~EncodePool() {
  for (auto& thread : threads_) thread.request_stop();
  changed_.notify_all();
  threads_.clear();  // joins while the rest is there
}

Result<void> EncodePool::push(const PzfHeader& header, const FrameView& frame, Deadline deadline) {
  auto pixels = buffers_.take(header.size_bytes(), deadline);
  if (!pixels) return full();
  const auto buffer = pixels->buffer();
  copy_pixels(frame, header.order,
              {reinterpret_cast<std::uint8_t*>(buffer.data()), buffer.size()});
  add(header, std::move(*pixels));
  return {};
}

Result<void> EncodePool::push_given(const PzfHeader& header, GivenBytes pixels,
                                    Deadline deadline) {
  assert(pixels.bytes.size() == header.size_bytes());
  auto lent = buffers_.take(0, deadline, std::move(pixels));
  if (!lent) return full();
  add(header, std::move(*lent));
  return {};
}

Error EncodePool::full() const {
  return {std::errc::no_buffer_space, "queue of " + std::to_string(options_.queue_bytes) +
                                          " bytes before the encoder is full"};
}

void EncodePool::add(const PzfHeader& header, BufferPool::Lent pixels) {
  {
    const std::lock_guard lock(mutex_);
    load_.frames += 1;
    load_.bytes += header.size_bytes();
    waiting_.push_back({header, std::move(pixels)});
  }
  changed_.notify_all();
}

bool EncodePool::wait_idle(Deadline deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline.when(), [&] { return load_.frames == 0; });
}

EncodePool::Load EncodePool::load() const {
  const std::lock_guard lock(mutex_);
  return load_;
}

void EncodePool::run(const std::stop_token& stop) {
  FrameEncoder encoder(options_.coding);
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return !waiting_.empty(); });
    if (waiting_.empty()) return;  // stopped, and nothing is left
    auto job = std::make_optional(std::move(waiting_.front()));
    waiting_.pop_front();
    lock.unlock();
    const PzfHeader header = job->header;
    const auto pieces = job->pixels.pieces();
    const auto pixels = pieces[0].empty() ? pieces[1] : pieces[0];
    const auto file = encoder.encode(
        header, {reinterpret_cast<const std::uint8_t*>(pixels.data()), pixels.size()});
    assert(file);  // the coding was checked before the first frame
    job.reset();   // room for the camera's next frame, before the network is waited for
    options_.on_file(header, *file);
    lock.lock();
    load_.frames -= 1;
    load_.bytes -= header.size_bytes();
    if (load_.frames == 0) changed_.notify_all();
  }
}

}  // namespace skein
