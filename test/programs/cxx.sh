#!/bin/bash
# A C++ program: containers filled by one thread and emptied by another, futures, exceptions, aligned new; and its compiler.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cxx=${CXX:-g++}
need "$cxx"

cat >"$work/program.cc" <<'CXX'
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

struct alignas(256) Wide {
	uint64_t value[40];
	explicit Wide(uint64_t v) { for (auto &x : value) x = v; }
};

struct Message {
	std::map<std::string, std::vector<int>> index;
	std::vector<std::shared_ptr<Wide>> wide;
	std::unique_ptr<Message> next;
};

class Queue {
	std::mutex mutex;
	std::condition_variable changed;
	std::deque<std::unique_ptr<Message>> messages;

public:
	void put(std::unique_ptr<Message> m)
	{
		std::lock_guard lock(mutex);
		messages.push_back(std::move(m));
		changed.notify_one();
	}
	std::unique_ptr<Message> take()
	{
		std::unique_lock lock(mutex);
		changed.wait(lock, [&] { return !messages.empty(); });
		auto m = std::move(messages.front());
		messages.pop_front();
		return m;
	}
};

static std::unique_ptr<Message> make(unsigned seed)
{
	auto m = std::make_unique<Message>();
	for (unsigned i = 0; i < 20; i++) {
		std::string key = "key " + std::to_string(seed * 7919 % 1000 + i) + std::string(i * 5, 'x');
		m->index[key].assign(seed % 50 + i, static_cast<int>(i));
		if (i % 5 == 0)
			m->wide.push_back(std::make_shared<Wide>(seed + i));
	}
	if (seed % 4 == 0)
		m->next = make(seed + 1);
	return m;
}

static uint64_t sum(const Message &m)
{
	uint64_t s = 0;
	for (auto &[key, list] : m.index) {
		for (char c : key)
			s = s * 31 + static_cast<unsigned char>(c);
		for (int x : list)
			s += static_cast<uint64_t>(x);
	}
	for (auto &w : m.wide) {
		if (reinterpret_cast<uintptr_t>(w.get()) % alignof(Wide) != 0)
			throw std::runtime_error("misaligned");
		s += w->value[0] + w->value[39];
	}
	return m.next ? s + sum(*m.next) : s;
}

static uint64_t depth(int n)
{
	std::string local(static_cast<size_t>(n) + 20, 'y');
	if (n == 0)
		throw std::runtime_error(local);
	try {
		return depth(n - 1);
	} catch (const std::runtime_error &e) {
		if (n % 10 == 0)
			throw std::runtime_error(e.what() + local);
		throw;
	}
}

static thread_local std::vector<std::string> per_thread(30, std::string(100, 'z'));

int main()
{
	constexpr unsigned producers = 3, consumers = 3, each = 1500;
	Queue queue;
	std::vector<std::thread> threads;
	std::vector<uint64_t> sums(consumers);
	for (unsigned c = 0; c < consumers; c++)
		threads.emplace_back([&, c] {
			while (auto m = queue.take()) {
				sums[c] += sum(*m);
				per_thread[c] += "q";
			}
		});
	std::vector<std::thread> makers;
	for (unsigned p = 0; p < producers; p++)
		makers.emplace_back([&, p] {
			for (unsigned i = 0; i < each; i++)
				queue.put(make(p * each + i));
		});
	for (auto &t : makers)
		t.join();
	for (unsigned c = 0; c < consumers; c++)
		queue.put(nullptr);
	for (auto &t : threads)
		t.join();
	uint64_t all = 0;
	for (uint64_t s : sums)
		all += s;
	std::printf("queue %llu\n", static_cast<unsigned long long>(all));

	std::vector<std::future<std::unordered_map<std::string, size_t>>> futures;
	for (unsigned f = 0; f < 60; f++)
		futures.push_back(std::async(std::launch::async, [f] {
			std::unordered_map<std::string, size_t> map;
			for (unsigned i = 0; i < 200; i++)
				map[std::to_string(i * f) + std::string(i % 40, 'k')] = per_thread[i % 30].size();
			return map;
		}));
	size_t entries = 0;
	for (auto &f : futures)
		for (auto &[key, value] : f.get())
			entries += key.size() * value;
	std::printf("futures %zu\n", entries);

	try {
		depth(200);
	} catch (const std::exception &e) {
		std::printf("exception %zu\n", std::string(e.what()).size());
	}
	auto failing = std::async(std::launch::async, []() -> int { throw std::out_of_range("from a thread"); });
	try {
		failing.get();
	} catch (const std::out_of_range &e) {
		std::printf("%s\n", e.what());
	}
	volatile size_t too_much = SIZE_MAX / 4;
	try {
		std::vector<char> v(too_much);
		v[too_much / 2] = 1;
	} catch (const std::bad_alloc &) {
		std::printf("bad_alloc\n");
	}
	std::printf("nothrow %d\n", ::operator new(too_much, std::align_val_t(64), std::nothrow) == nullptr);
	auto *array = new Wide *[100];
	for (int i = 0; i < 100; i++)
		array[i] = new Wide(static_cast<uint64_t>(i));
	for (int i = 0; i < 100; i++)
		delete array[i];
	delete[] array;
	std::set_terminate([] {
		std::fflush(stdout);
		std::_Exit(3);
	});
	throw std::runtime_error("not caught");
}
CXX

sinks=default
compare compiler "$cxx" -std=c++17 -O1 -pthread -Wl,--build-id=none -o program "$work/program.cc"
expect_success compiler
sinks="page central"
compare program "$work/compiler/glibc/files/program"
grep -q '^nothrow 1' "$work/program/glibc/out" || fail "the program did not run to its end"
