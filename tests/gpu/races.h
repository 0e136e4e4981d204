// Finds accesses to a block's shared memory whose order nothing keeps, even where they happened to come in a good one: vector clocks
// (after FastTrack: Flanagan and Freund, 2009). Besides its threads, a block has others that act: a thread's copies, and the
// products of a warp. Both begin after what their threads have seen, and nobody sees them before somebody has waited for them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

namespace emulation {

class Races {
    // How far each actor has come, as somebody knows it.
    using Clock = std::vector<uint32_t>;
    struct Event {
        size_t actor = 0;
        uint32_t time = 0;
    };
    struct Read {
        Event event;
        unsigned words;
    };
    // Of 16 bytes: who wrote each word last, and who has read it since.
    struct Piece {
        Event writes[4];
        std::vector<Read> reads;
    };
    // What those know who have arrived somewhere, and what those get to know who wait for them.
    struct Meeting {
        Clock arrived, ended;
    };
    size_t threads, actors;
    // What each thread has seen, and of that, what it has shown to its products.
    std::vector<Clock> seen, shown;
    // Groups of copies and of products that each thread has set out.
    std::vector<uint32_t> copies, products;
    std::vector<Piece> pieces;
    std::map<uint64_t, Meeting> meetings;

    static void join(Clock& clock, const Clock& other) {
        for (size_t actor = 0; actor < other.size(); actor++) clock[actor] = std::max(clock[actor], other[actor]);
    }
    Meeting& meeting(uint64_t key) {
        Meeting& found = meetings[key];
        if (found.arrived.empty()) found.arrived.assign(actors, 0);
        return found;
    }
    size_t products_of(size_t thread) const { return 2 * threads + thread / 32; }

    void describe(Event event) const {
        if (event.actor < threads) fprintf(stderr, "thread %zu", event.actor);
        else if (event.actor < 2 * threads) fprintf(stderr, "a copy of thread %zu", event.actor - threads);
        else fprintf(stderr, "a product of warp %zu", event.actor - 2 * threads);
    }
    void check(const Clock& clock, Event before, Event now, const char* what, size_t offset) const {
        if (clock[before.actor] >= before.time) return;
        fprintf(stderr, "a race: ");
        describe(now);
        fprintf(stderr, " %s of ", what);
        describe(before);
        fprintf(stderr, " at %zu in shared memory, and nothing keeps their order\n", offset);
        abort();
    }
    template <typename Visit>
    void visit(size_t offset, size_t bytes, Visit visit) {
        for (size_t at = offset / 4; at < (offset + bytes + 3) / 4;) {
            unsigned words = 0;
            size_t piece = at / 4;
            for (; at / 4 == piece && at < (offset + bytes + 3) / 4; at++) words |= 1u << at % 4;
            visit(pieces[piece], words, piece * 16);
        }
    }
    void write(const Clock& clock, Event event, size_t offset, size_t bytes) {
        visit(offset, bytes, [&](Piece& piece, unsigned words, size_t at) {
            for (size_t word = 0; word < 4; word++) {
                if (!(words >> word & 1)) continue;
                check(clock, piece.writes[word], event, "writes over a write", at);
                piece.writes[word] = event;
            }
            for (Read& read : piece.reads) {
                if (read.words & words) check(clock, read.event, event, "writes over a read", at);
                read.words &= ~words;
            }
            auto none = [](const Read& read) { return read.words == 0; };
            piece.reads.erase(std::remove_if(piece.reads.begin(), piece.reads.end(), none), piece.reads.end());
        });
    }
    static void add_read(Piece& piece, Event event, unsigned words) {
        for (Read& read : piece.reads)
            if (read.event.actor == event.actor && read.words == words) {
                read.event = event;
                return;
            }
        piece.reads.push_back({event, words});
    }
    Event now(size_t thread) const { return {thread, seen[thread][thread]}; }

public:
    Races(size_t threads, size_t bytes)
        : threads(threads), actors(2 * threads + (threads + 31) / 32), seen(threads, Clock(actors)), shown(seen),
          copies(threads), products(threads), pieces(bytes / 16 + 1) {
        for (size_t thread = 0; thread < threads; thread++) seen[thread][thread] = 1;
    }

    void write(size_t thread, size_t offset, size_t bytes) { write(seen[thread], now(thread), offset, bytes); }
    void read(size_t thread, size_t offset, size_t bytes) {
        visit(offset, bytes, [&](Piece& piece, unsigned words, size_t at) {
            for (size_t word = 0; word < 4; word++)
                if (words >> word & 1) check(seen[thread], piece.writes[word], now(thread), "reads a write", at);
            add_read(piece, now(thread), words);
        });
    }

    // Where threads wait for one another, and shared memory is in order afterwards.
    void arrive(size_t thread, uint64_t key) {
        join(meeting(key).arrived, seen[thread]);
        seen[thread][thread]++;
    }
    void end(uint64_t key) {
        Meeting& ended = meeting(key);
        ended.ended.swap(ended.arrived);
        ended.arrived.assign(actors, 0);
    }
    void leave(size_t thread, uint64_t key) { join(seen[thread], meeting(key).ended); }

    // A copy of 16 bytes.
    void copy(size_t thread, size_t offset) { write(seen[thread], {threads + thread, copies[thread] + 1}, offset, 16); }
    // How many groups of copies there are, of which one ends here.
    uint32_t end_copies(size_t thread) { return ++copies[thread]; }
    void wait_for_copies(size_t thread, size_t pending) {
        uint32_t& known = seen[thread][threads + thread];
        known = std::max(known, copies[thread] - std::min<uint32_t>(copies[thread], static_cast<uint32_t>(pending)));
    }
    // So many groups of copies have arrived where others wait for them: nothing else of their thread has.
    void copies_arrive(size_t thread, uint32_t groups, uint64_t key) {
        uint32_t& known = meeting(key).arrived[threads + thread];
        known = std::max(known, groups);
    }

    void show(size_t thread) { shown[thread] = seen[thread]; }
    // 16 bytes that a warp's product reads: what all of its lanes have shown must reach as far as the last write.
    void multiply(size_t first_lane, size_t offset) {
        Event event = {products_of(first_lane), products[first_lane] + 1};
        Piece& piece = pieces[offset / 16];
        for (size_t word = 0; word < 4; word++) {
            Event written = piece.writes[word];
            if (word > 0 && written.actor == piece.writes[word - 1].actor && written.time == piece.writes[word - 1].time) continue;
            for (size_t lane = 0; lane < 32; lane++) check(shown[first_lane + lane], written, event, "reads a write", offset);
        }
        add_read(piece, event, 15);
    }
    void commit_products(size_t thread) { products[thread]++; }
    void wait_for_products(size_t thread, size_t pending) {
        uint32_t& known = seen[thread][products_of(thread)];
        known = std::max(known, products[thread] - std::min<uint32_t>(products[thread], static_cast<uint32_t>(pending)));
    }
};

}  // namespace emulation
