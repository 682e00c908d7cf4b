// A pipeline in C++ on hz3: one thread makes messages, another uses them up, and so every free is a remote one.
//
// new and delete are hz3's by linking alone.  hz3_allocator below gives single containers memory of hz3 by its own
// names, which also works beside another malloc (configure --with-hz3-prefix).
//
//   cmake -B build && cmake --build build && build/pipeline
//   c++ -std=c++17 pipeline.cc $(hz3-config --cflags --libs) -pthread

#include <hz3/hz3.h>

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

// An allocator of the standard library's form.  It has no state: what one got, another may give back.
template <typename T> struct hz3_allocator {
	using value_type = T;

	hz3_allocator() = default;
	template <typename U> hz3_allocator(const hz3_allocator<U> &) noexcept {}

	T *
	allocate(std::size_t count)
	{
		void *p;

		// Blocks are aligned to 16; more has to be asked for.
		if (count > static_cast<std::size_t>(-1) / sizeof(T))
			throw std::bad_array_new_length();
		if (alignof(T) <= 16)
			p = hz3_malloc(count * sizeof(T));
		else
			p = hz3_aligned_alloc(alignof(T), count * sizeof(T));
		if (p == nullptr)
			throw std::bad_alloc();
		return static_cast<T *>(p);
	}

	void
	deallocate(T *p, std::size_t count) noexcept
	{
		if (alignof(T) <= 16)
			hz3_free_sized(p, count * sizeof(T));
		else
			hz3_free_aligned_sized(p, alignof(T), count * sizeof(T));
	}

	template <typename U>
	friend bool
	operator==(const hz3_allocator &, const hz3_allocator<U> &) noexcept
	{
		return true;
	}

	template <typename U>
	friend bool
	operator!=(const hz3_allocator &, const hz3_allocator<U> &) noexcept
	{
		return false;
	}
};

struct message {
	std::string text;                                // from operator new
	std::vector<int, hz3_allocator<int>> numbers;    // from hz3_malloc
};

class queue {
public:
	void
	put(std::unique_ptr<message> m)
	{
		std::lock_guard<std::mutex> guard(lock_);
		messages_.push_back(std::move(m));
		filled_.notify_one();
	}

	std::unique_ptr<message>
	take()
	{
		std::unique_lock<std::mutex> guard(lock_);
		filled_.wait(guard, [this] { return !messages_.empty(); });
		auto m = std::move(messages_.front());
		messages_.pop_front();
		return m;
	}

private:
	std::mutex lock_;
	std::condition_variable filled_;
	std::deque<std::unique_ptr<message>> messages_;
};

static std::string
text_of(int i)
{
	return "message number " + std::to_string(i) + ", long enough to be in a block of its own";
}

static void produce(queue &q, int count)
{
	for (int i = 0; i < count; i++) {
		auto m = std::make_unique<message>();
		m->text = text_of(i);
		m->numbers.assign(1 + i % 50, i);
		q.put(std::move(m));
	}
	q.put(nullptr);
	// Nothing more to do here: the blocks that the other thread has freed can be used by all.
	hz3_thread_idle();
}

static long consume(queue &q)
{
	long sum = 0;

	while (auto m = q.take()) {
		for (int n : m->numbers)
			sum += n;
		sum += static_cast<long>(m->text.size());
	}
	return sum;
}

static std::size_t
statistic(const char *name)
{
	std::size_t value = 0, bytes = sizeof(value);

	hz3_control(name, &value, &bytes, nullptr, 0);
	return value;
}

int main()
{
	const int count = 100000;
	queue q;
	long sum = 0, expected = 0;

	std::thread consumer([&] { sum = consume(q); });
	std::thread producer([&] { produce(q, count); });
	producer.join();
	consumer.join();

	for (int i = 0; i < count; i++)
		expected += static_cast<long>(1 + i % 50) * i + static_cast<long>(text_of(i).size());
	std::printf("hz3 %s: %zu remote frees, sent as %zu chains\n", hz3_version(), statistic("stats.remote.blocks"),
	    statistic("stats.remote.chains"));
	if (sum != expected) {
		std::printf("the sum is %ld instead of %ld\n", sum, expected);
		return 1;
	}
	return 0;
}
