// A causal network, a sample at a time: the definition of a step is in weights.py, the draw's in draw.py.
//
// The file includes itself once for each level of instructions: what stands under `#ifdef LANES` is compiled for
// vectors of so many floats, every function of it with the level's target attribute, so that one library serves all
// processors and run time decides. All widths are padded to 16 by kernel.py, with zeros.

#ifndef LANES

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#define X86 1
#include <immintrin.h>
#else
#define X86 0
#endif

namespace {

constexpr int VERSION = 1;
constexpr float ROOT_HALF = 0.70710678118654752f;

constexpr int AHEAD = 4096;  // bytes: how far ahead weights are fetched, for they lie in the order of their use

using Brain = uint16_t;  // The upper half of a float: bfloat16.

// Rows in panels of up to 8 vectors. A panel holds, unit by unit, the weights of all its rows; a unit is one column of
// floats or a pair of columns in bfloat16, 4 bytes a row. So a product reads its weights once, from front to back.
struct Matrix {
    const float* bias;
    const char* weights;
    int64_t rows;
    int64_t columns;
};

struct Model {
    int64_t layers;
    int64_t taps;
    int64_t residual;  // padded
    int64_t half;      // padded
    int64_t channels;  // of a half, not padded: the condition's
    int64_t outputs;   // not padded
    int64_t levels;    // 0: real numbers
    int64_t brain;     // whether weights and activations are bfloat16
    const int64_t* dilations;
    const float* first;
    const Matrix* matrices;  // of each layer: one of each tap, the oldest first, and residual; skips, hidden, output

    int64_t of_layer() const { return taps + 1; }
    const Matrix* layer(int64_t index) const { return matrices + index * of_layer(); }
};

struct Job {
    int64_t streams;
    int64_t steps;
    int64_t time;     // steps that have been taken before
    int64_t threads;
    int64_t told;     // steps of the condition: all, or 1
    void* signals;    // (streams, slots, residual): what entered each layer, a ring for each
    void* last;       // (streams,): int64 codes or floats, read and written
    const void* given;          // (streams, steps): what is forced, or null
    const double* uniforms;     // (streams, steps, 2), where nothing is forced
    const float* condition;     // (streams, told, layers, 2·channels), or null
    void* drawn;                // (streams, steps), where nothing is forced
    float* parameters;          // (streams, steps, outputs), or null
    double temperature;
    double nucleus;
};

int64_t queue_length(const Model& model, int64_t layer) {
    return std::max<int64_t>(1, (model.taps - 1) * model.dilations[layer]);
}

int64_t all_slots(const Model& model) {
    int64_t slots = 0;
    for (int64_t layer = 0; layer < model.layers; ++layer) slots += queue_length(model, layer);
    return slots;
}

// Zeros that start at a cache line.
template <class T>
class Buffer {
  public:
    explicit Buffer(int64_t count) : data_(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64)))) {
        std::memset(data_, 0, count * sizeof(T));
    }
    ~Buffer() { ::operator delete(data_, std::align_val_t(64)); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    operator T*() { return data_; }

  private:
    T* data_;
};

// What one step needs besides the state.
template <class E>
struct Workspace {
    explicit Workspace(const Model& model)
        : signal(model.residual),
          change(model.residual),
          both(2 * model.half),
          heard(model.layers * model.half),
          wide(widest(model)),
          narrow(widest(model)),
          logits(widest(model)),
          rings(model.layers),
          places(model.layers),
          masses(widest(model)),
          order(widest(model)) {}

    static int64_t widest(const Model& model) {
        int64_t rows = 0;
        for (int64_t i = 0; i < model.layers * model.of_layer() + 3; ++i) rows = std::max(rows, model.matrices[i].rows);
        return rows;
    }

    Buffer<float> signal, change, both;
    Buffer<E> heard;
    Buffer<float> wide;
    Buffer<E> narrow;
    Buffer<float> logits;
    std::vector<E*> rings;
    std::vector<int64_t> places;  // of the next signal in each ring
    std::vector<double> masses;
    std::vector<int64_t> order;
};

// Takes the mass from all but the likeliest codes that together have the share `nucleus`.
void keep_nucleus(float* masses, int64_t count, double nucleus, std::vector<int64_t>& order) {
    std::iota(order.begin(), order.begin() + count, 0);
    std::stable_sort(order.begin(), order.begin() + count, [&](int64_t a, int64_t b) { return masses[a] > masses[b]; });
    double total = 0, before = 0;
    for (int64_t i = 0; i < count; ++i) total += masses[order[i]];
    for (int64_t i = 0; i < count; ++i) {
        const float mass = masses[order[i]];
        if (before >= nucleus * total) masses[order[i]] = 0;
        before += mass;
    }
}

// The first code whose cumulative mass exceeds the share `uniform` of all.
int64_t inverse(const float* masses, int64_t count, double uniform, std::vector<double>& sums) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sums[i] = sum += masses[i];
    const auto place = std::upper_bound(sums.begin(), sums.begin() + count, uniform * sum);
    return std::min<int64_t>(place - sums.begin(), count - 1);
}

// A draw from component `chosen` of a mixture of logistics with the parameters (logits, means, log scales).
float logistic(const float* parameters, int64_t count, int64_t chosen, double uniform, double temperature) {
    const double mean = parameters[count + chosen];
    const double scale = std::exp(std::max<double>(parameters[2 * count + chosen], -7.0)) * temperature;
    const double u = std::min(std::max(uniform, 1e-5), 1 - 1e-5);
    return static_cast<float>(std::min(std::max(mean + scale * (std::log(u) - std::log1p(-u)), -1.0), 1.0));
}

}  // namespace

#define TARGET
#define LEVEL portable
#define LANES 4
#define DOT 0
#include "kernel.cpp"
#undef TARGET
#undef LEVEL
#undef LANES
#undef DOT

#if X86
#define TARGET target("avx2,fma"),
#define LEVEL avx2
#define LANES 8
#define DOT 0
#include "kernel.cpp"
#undef TARGET
#undef LEVEL
#undef LANES
#undef DOT

#define TARGET target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"),
#define LEVEL avx512
#define LANES 16
#define DOT 0
#include "kernel.cpp"
#undef TARGET
#undef LEVEL
#undef LANES
#undef DOT

#define TARGET target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"),
#define LEVEL avx512bf16
#define LANES 16
#define DOT 1
#include "kernel.cpp"
#undef TARGET
#undef LEVEL
#undef LANES
#undef DOT
#endif

namespace {

struct Level {
    int lanes;
    void (*run)(const Model&, const Job&, int64_t);
    float (*read)(const float*, int64_t);
};

const Level LEVELS[] = {
    {4, portable::run, portable::read},
#if X86
    {8, avx2::run, avx2::read},
    {16, avx512::run, avx512::read},
    {16, avx512bf16::run, avx512bf16::read},
#endif
};

}  // namespace

extern "C" {

int noiseforge_version() { return VERSION; }

// The highest level that this processor has: 0 portable, 1 AVX2, 2 AVX-512, 3 AVX-512 with bfloat16.
int noiseforge_level() {
#if X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (!wide) return 1;
    return __builtin_cpu_supports("avx512bf16") ? 3 : 2;
#else
    return 0;
#endif
}

int noiseforge_lanes(int level) { return LEVELS[level].lanes; }

// Runs all streams, each on one of `job.threads` threads. Returns 0, or 1 where memory ran out.
int noiseforge_run(const Model* model, const Job* job, int level) {
    std::atomic<int> failed{0};
    const auto work = [&](int64_t first) {
        try {
            for (int64_t stream = first; stream < job->streams; stream += job->threads)
                LEVELS[level].run(*model, *job, stream);
        } catch (...) {
            failed = 1;
        }
    };
    std::vector<std::thread> others;
    for (int64_t thread = 1; thread < std::min(job->threads, job->streams); ++thread) {
        try {
            others.emplace_back(work, thread);
        } catch (...) {
            work(thread);
        }
    }
    work(0);
    for (auto& other : others) other.join();
    return failed;
}

// Reads `count` floats once, as fast as it goes: the bound that a step cannot beat. A multiple of 128.
float noiseforge_read(const float* floats, int64_t count, int level) { return LEVELS[level].read(floats, count); }
}

#else

namespace {
namespace LEVEL {

#define INLINE __attribute__((TARGET always_inline)) inline
#define APART __attribute__((TARGET noinline))

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef uint32_t Whole __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

constexpr int PANEL = 8;  // vectors of sums: enough to hide the latency of a multiplication with addition

template <class T>
INLINE Vector load(const T* from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

INLINE void store(float* to, const Vector& vector) { std::memcpy(to, &vector, sizeof vector); }

INLINE void store(Brain* to, const Vector& vector) {
#if DOT
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)vector);
    std::memcpy(to, &rounded, sizeof rounded);
#else
    const Whole bits = (Whole)vector;
    const Halves rounded = __builtin_convertvector((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, Halves);
    std::memcpy(to, &rounded, sizeof rounded);
#endif
}

INLINE Vector at_least(const Vector& x, float bound) {
    const Vector bounds = Vector{} + bound;
    return x > bounds ? x : bounds;
}

INLINE Vector at_most(const Vector& x, float bound) {
    const Vector bounds = Vector{} + bound;
    return x < bounds ? x : bounds;
}

// e^x for -87 <= x <= 87, to 2e-7 of it: x = n·ln 2 + r, a polynomial in r, and n added to the exponent.
INLINE Vector exponential(const Vector& x) {
    constexpr float TO_UNITS = 12582912.0f;  // 1.5·2^23: added to a small number it leaves no fraction
    const Vector shifted = x * 1.44269504f + TO_UNITS;
    const Vector n = shifted - TO_UNITS;
    const Vector r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
    Vector p = r * (1.0f / 720) + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (Vector)((Whole)p + ((Whole)shifted << 23));
}

// tanh(a)·sigmoid(b) with a single division: both are ratios of exponentials.
INLINE Vector gated(const Vector& a, const Vector& b) {
    const Vector ea = exponential(at_most(at_least(a, -9.0f), 9.0f) * -2.0f);
    const Vector eb = exponential(-at_most(at_least(b, -60.0f), 60.0f));
    return (1.0f - ea) / ((1.0f + ea) * (1.0f + eb));
}

INLINE void add_product(Vector& sum, const char* weights, const float* x) { sum += load(weights) * *x; }

INLINE void add_product(Vector& sum, const char* weights, const Brain* x) {
    uint32_t pair;
    std::memcpy(&pair, x, sizeof pair);
#if DOT
    sum = (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)load(weights), (__m512bh)_mm512_set1_epi32(int(pair)));
#else
    const Whole both = (Whole)load(weights);
    const Whole first = Whole{} + (pair << 16), second = Whole{} + (pair & 0xffff0000u);
    sum += (Vector)(both << 16) * (Vector)first;
    sum += (Vector)(both & 0xffff0000u) * (Vector)second;
#endif
}

// y = start + W·x for the `VECTORS` vectors of rows of one panel.
template <int VECTORS, class E>
APART void panel(const char* weights, const float* start, const E* x, int64_t units, float* y) {
    constexpr int UNROLLED = VECTORS > 4 ? 1 : VECTORS > 2 ? 2 : VECTORS == 2 ? 4 : 8;
    constexpr int WIDTH = sizeof(float) / sizeof(E);
    Vector sums[UNROLLED][VECTORS];
#pragma GCC unroll 8
    for (int u = 0; u < UNROLLED; ++u)
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; ++i) sums[u][i] = u ? Vector{} : load(start + i * LANES);
    for (int64_t unit = 0; unit < units; unit += UNROLLED) {
#pragma GCC unroll 8
        for (int u = 0; u < UNROLLED; ++u)
#pragma GCC unroll 8
            for (int i = 0; i < VECTORS; ++i)
                add_product(sums[u][i], weights + (u * VECTORS + i) * 4 * LANES, x + (unit + u) * WIDTH);
#pragma GCC unroll 8
        for (int line = 0; line < UNROLLED * VECTORS * 4 * LANES; line += 64)
            __builtin_prefetch(weights + AHEAD + line);
        weights += UNROLLED * VECTORS * 4 * LANES;
    }
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; ++i) {
        Vector sum = sums[0][i];
#pragma GCC unroll 8
        for (int u = 1; u < UNROLLED; ++u) sum += sums[u][i];
        store(y + i * LANES, sum);
    }
}

// y = start + W·x.
template <class E>
APART void product(const Matrix& matrix, const float* start, const E* x, float* y) {
    const int64_t units = matrix.columns * sizeof(E) / sizeof(float);
    const char* weights = matrix.weights;
    for (int64_t row = 0; row < matrix.rows;) {
        const int64_t vectors = std::min<int64_t>(PANEL, (matrix.rows - row) / LANES);
        switch (vectors) {
            case 1: panel<1>(weights, start + row, x, units, y + row); break;
            case 2: panel<2>(weights, start + row, x, units, y + row); break;
            case 3: panel<3>(weights, start + row, x, units, y + row); break;
            case 4: panel<4>(weights, start + row, x, units, y + row); break;
            case 5: panel<5>(weights, start + row, x, units, y + row); break;
            case 6: panel<6>(weights, start + row, x, units, y + row); break;
            case 7: panel<7>(weights, start + row, x, units, y + row); break;
            default: panel<8>(weights, start + row, x, units, y + row);
        }
        row += vectors * LANES;
        weights += vectors * LANES * 4 * units;
    }
}

// What a layer's gates get from the condition and from what entered the layer before, in work.both.
template <class E>
INLINE void recall(const Model& model, int64_t layer, const float* condition, Workspace<E>& work) {
    const Matrix* matrices = model.layer(layer);
    const float* start = matrices[0].bias;
    if (condition) {
        condition += layer * 2 * model.channels;
        for (int64_t half = 0; half < 2; ++half)
            for (int64_t i = 0; i < model.channels; ++i)
                work.both[half * model.half + i] = start[half * model.half + i] + condition[half * model.channels + i];
        start = work.both;
    }
    for (int64_t tap = 0; tap + 1 < model.taps; ++tap) {
        int64_t slot = work.places[layer] - (model.taps - 1 - tap) * model.dilations[layer];
        if (slot < 0) slot += queue_length(model, layer);
        product<E>(matrices[tap], start, work.rings[layer] + slot * model.residual, work.both);
        start = work.both;
    }
    if (start != work.both) std::memcpy(work.both, start, 2 * model.half * sizeof(float));
}

// What the signal adds to a layer's gates; it takes the oldest one's place in the ring.
template <class E>
INLINE void enter(const Model& model, int64_t layer, Workspace<E>& work) {
    int64_t& place = work.places[layer];
    E* newest = work.rings[layer] + place * model.residual;
    for (int64_t i = 0; i < model.residual; i += LANES) store(newest + i, load(work.signal + i));
    product<E>(model.layer(layer)[model.taps - 1], work.both, newest, work.both);
    if (++place == queue_length(model, layer)) place = 0;
}

// The signal through all layers; what their gates let through is in work.heard.
template <class E>
INLINE void pass(const Model& model, const float* condition, Workspace<E>& work) {
    recall(model, 0, condition, work);
    for (int64_t layer = 0; layer < model.layers; ++layer) {
        enter(model, layer, work);
        E* heard = work.heard + layer * model.half;
        for (int64_t i = 0; i < model.half; i += LANES)
            store(heard + i, gated(load(work.both + i), load(work.both + model.half + i)));
        if (layer + 1 == model.layers) return;
        // The next layer's past waits for nothing, so that its products hide the latency of the gates.
        recall(model, layer + 1, condition, work);
        const Matrix& residual = model.layer(layer)[model.taps];
        product<E>(residual, residual.bias, heard, work.change);
        for (int64_t i = 0; i < model.residual; i += LANES)
            store(work.signal + i, load(work.signal + i) * ROOT_HALF + load(work.change + i));
    }
}

template <class E>
INLINE void rectify(const float* from, E* to, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES) store(to + i, at_least(load(from + i), 0.0f));
}

// From what all layers heard to the parameters of the next value, in work.wide.
template <class E>
INLINE void conclude(const Model& model, Workspace<E>& work) {
    const Matrix* head = model.layer(model.layers);
    product<E>(head[0], head[0].bias, work.heard, work.wide);
    rectify<E>(work.wide, work.narrow, head[0].rows);
    product<E>(head[1], head[1].bias, work.narrow, work.wide);
    rectify<E>(work.wide, work.narrow, head[1].rows);
    product<E>(head[2], head[2].bias, work.narrow, work.wide);
}

// A component or a code. The masses take the place of the logits, which are `count` of a padded buffer.
APART int64_t choose(const Job& job, float* logits, int64_t count, double uniform, std::vector<double>& sums,
                     std::vector<int64_t>& order) {
    float largest = logits[0];
    int64_t i = LANES;
    if (count >= LANES) {
        Vector best = load(logits);
        for (; i + LANES <= count; i += LANES) best = load(logits + i) > best ? load(logits + i) : best;
        for (int lane = 0; lane < LANES; ++lane) largest = std::max(largest, best[lane]);
    }
    for (i = count >= LANES ? i : 1; i < count; ++i) largest = std::max(largest, logits[i]);
    const float sharpness = static_cast<float>(std::min(1 / job.temperature, 1e30));
    // None exceeds the largest but what fills the last vector.
    for (i = 0; i < count; i += LANES) {
        const Vector below = at_most(load(logits + i) - largest, 0.0f) * sharpness;
        store(logits + i, exponential(at_least(below, -87.0f)));
    }
    if (job.nucleus < 1) keep_nucleus(logits, count, job.nucleus, order);
    return inverse(logits, count, uniform, sums);
}

template <class E>
INLINE int64_t draw_code(const Model& model, const Job& job, const double* uniforms, Workspace<E>& work) {
    return choose(job, work.wide, model.levels, uniforms[0], work.masses, work.order);
}

template <class E>
INLINE float draw_real(const Model& model, const Job& job, const double* uniforms, Workspace<E>& work) {
    const int64_t count = model.outputs / 3;
    // Masses fill whole vectors and would run into the means.
    std::memcpy(work.logits, work.wide, count * sizeof(float));
    const int64_t chosen = choose(job, work.logits, count, uniforms[0], work.masses, work.order);
    return logistic(work.wide, count, chosen, uniforms[1], job.temperature);
}

// The signal that the last value starts.
template <class E>
INLINE void begin(const Model& model, const Job& job, int64_t stream, Workspace<E>& work) {
    const float* rows = model.first;
    if (model.levels) {
        rows += static_cast<const int64_t*>(job.last)[stream] * model.residual;
        std::memcpy(work.signal, rows, model.residual * sizeof(float));
        return;
    }
    const float last = static_cast<const float*>(job.last)[stream];
    for (int64_t i = 0; i < model.residual; i += LANES)
        store(work.signal + i, load(rows + i) * last + load(rows + model.residual + i));
}

// The value that was given or is drawn becomes the last one.
template <class E>
INLINE void finish(const Model& model, const Job& job, int64_t stream, int64_t moment, Workspace<E>& work) {
    if (model.levels) {
        int64_t& last = static_cast<int64_t*>(job.last)[stream];
        last = job.given ? static_cast<const int64_t*>(job.given)[moment]
                         : draw_code(model, job, job.uniforms + 2 * moment, work);
        if (job.drawn) static_cast<int64_t*>(job.drawn)[moment] = last;
    } else {
        float& last = static_cast<float*>(job.last)[stream];
        last = job.given ? static_cast<const float*>(job.given)[moment]
                         : draw_real(model, job, job.uniforms + 2 * moment, work);
        if (job.drawn) static_cast<float*>(job.drawn)[moment] = last;
    }
}

template <class E>
APART void run_in(const Model& model, const Job& job, int64_t stream) {
    Workspace<E> work(model);
    E* ring = static_cast<E*>(job.signals) + stream * all_slots(model) * model.residual;
    for (int64_t layer = 0; layer < model.layers; ++layer) {
        work.places[layer] = job.time % queue_length(model, layer);
        work.rings[layer] = ring;
        ring += queue_length(model, layer) * model.residual;
    }
    for (int64_t step = 0; step < job.steps; ++step) {
        const int64_t moment = stream * job.steps + step;
        const int64_t told = stream * job.told + (job.told == 1 ? 0 : step);
        const float* condition = job.condition ? job.condition + told * model.layers * 2 * model.channels : nullptr;
        begin(model, job, stream, work);
        pass(model, condition, work);
        if (job.parameters || !job.given) conclude(model, work);
        if (job.parameters)
            std::memcpy(job.parameters + moment * model.outputs, work.wide, model.outputs * sizeof(float));
        finish(model, job, stream, moment, work);
    }
}

APART void run(const Model& model, const Job& job, int64_t stream) {
    if (model.brain)
        run_in<Brain>(model, job, stream);
    else
        run_in<float>(model, job, stream);
}

APART float read(const float* floats, int64_t count) {
    Vector sums[PANEL] = {};
    for (int64_t i = 0; i < count; i += PANEL * LANES)
#pragma GCC unroll 8
        for (int j = 0; j < PANEL; ++j) {
            if (j * LANES % 16 == 0) __builtin_prefetch(floats + i + j * LANES + AHEAD / 4);
            sums[j] += load(floats + i + j * LANES);
        }
    Vector sum = {};
    for (const Vector& part : sums) sum += part;
    return sum[0];
}

#undef INLINE
#undef APART

}  // namespace LEVEL
}  // namespace

#endif
