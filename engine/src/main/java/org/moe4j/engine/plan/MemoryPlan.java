package org.moe4j.engine.plan;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.cache.PageLayout;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.model.Shape;
import org.moe4j.engine.offload.CacheSizes;

/**
 * How a model is laid out in a budget of memory. Everything but routed experts stays in memory; of
 * those each layer keeps as many as fit, equally many but for a rest.
 *
 * @param context tokens whose keys and values there is room for
 * @param roles bytes by what they are for
 * @param cache bytes of keys and values
 * @param scratch bytes of what a step computes with
 * @param machine bytes of the Java machine itself
 * @param staging bytes of experts on their way from disk
 * @param minimum the least budget, with one expert of each layer
 * @param everything the budget from which on nothing is left on disk
 * @param storedExperts for each layer that routes, bytes on disk of one of its experts
 * @param offload how experts are kept if not all fit
 */
public record MemoryPlan(
    Shape shape,
    int context,
    List<RoleBytes> roles,
    long cache,
    long scratch,
    long machine,
    long staging,
    long minimum,
    long everything,
    SortedMap<Integer, Long> storedExperts,
    Optional<CacheSizes> offload) {
  /** What the Java machine takes with its heap nearly empty: measured. */
  private static final long MACHINE = 100_000_000;

  /** Tokens that keys and values are kept for unless told otherwise. */
  private static final int CONTEXT = 4096;

  private static final int READERS = 3;
  private static final int LEAST_SPARES = 2;

  /**
   * Plans for {@code options}; no tensor is read.
   *
   * @throws EngineException if the budget is too small, with the least that would do
   */
  public static MemoryPlan of(GgufFile file, EngineOptions options) {
    Footprint parts = Footprint.of(file, options);
    Shape shape = parts.shape();
    long page = parts.pages().bytes();
    long fixed = parts.trunk() + parts.scratch() + MACHINE;
    long one = parts.packedExperts().values().stream().mapToLong(b -> b).sum();
    long all = one * shape.mixture().experts();
    long least = fixed + one + staging(parts, LEAST_SPARES);
    boolean free = options.cacheBytes() == Long.MAX_VALUE;
    long cache = free ? cache(parts, options.memory(), least) : options.cacheBytes();
    long everything = fixed + cache + all;
    long minimum = one == 0 ? everything : Math.min(everything, least + (free ? page : cache));
    Optional<CacheSizes> offload = Optional.empty();
    long staging = 0;
    if (options.memory() < everything) {
      int spares = spares(parts, options.memory() - fixed - cache);
      staging = staging(parts, spares);
      long left = options.memory() - fixed - cache - staging;
      if (one == 0 || left < one) {
        throw tooSmall(file, options, minimum, all == 0);
      }
      offload = Optional.of(sizes(parts, left, spares, options.memory()));
    }
    long routed =
        offload
            .map(
                sizes ->
                    parts.packedExperts().entrySet().stream()
                        .mapToLong(e -> e.getValue() * sizes.slots().get(e.getKey()))
                        .sum())
            .orElse(all);
    return new MemoryPlan(
        shape,
        Math.toIntExact(Math.min(shape.context(), cache / page * PageLayout.POSITIONS)),
        parts.roles(routed),
        cache,
        parts.scratch(),
        MACHINE,
        staging,
        minimum,
        everything,
        parts.storedExperts(),
        offload);
  }

  /**
   * Options with room for keys and values of {@code context} tokens.
   *
   * @throws EngineException if the model was not made for so many
   */
  public static EngineOptions withContext(GgufFile file, EngineOptions options, int context) {
    Footprint parts = Footprint.of(file, options);
    if (context < 1 || context > parts.shape().context()) {
      throw new EngineException(
          file.path()
              + ": a context of "
              + context
              + " tokens; it was made for 1 to "
              + parts.shape().context());
    }
    long bytes = PageLayout.pages(context) * parts.pages().bytes();
    return options.withCache(bytes, Math.min(bytes, options.keptBytes()));
  }

  /** What many texts need, but not more than an eighth of the budget if it is small. */
  private static long cache(Footprint parts, long budget, long least) {
    long page = parts.pages().bytes();
    long wanted = PageLayout.pages(Math.min(CONTEXT, parts.shape().context())) * page;
    long most = Math.min(budget / 8, budget - least) / page * page;
    return Math.max(page, Math.min(wanted, most));
  }

  /** Spare slots of every size that experts have, and what bytes are read into. */
  private static long staging(Footprint parts, int spares) {
    long sizes = new TreeSet<>(parts.packedExperts().values()).stream().mapToLong(b -> b).sum();
    return spares * sizes + READERS * parts.read();
  }

  /** Two tokens' experts, but no more than an eighth of the memory for experts. */
  private static int spares(Footprint parts, long left) {
    int wanted = Math.min(16, 2 * parts.shape().mixture().used());
    while (wanted > LEAST_SPARES && staging(parts, wanted) > left / 8) {
      wanted--;
    }
    return Math.max(LEAST_SPARES, wanted);
  }

  private static CacheSizes sizes(Footprint parts, long bytes, int spares, long budget) {
    int most = parts.shape().mixture().experts();
    long one = parts.packedExperts().values().stream().mapToLong(b -> b).sum();
    int each = (int) Math.min(most, bytes / one);
    long rest = bytes - each * one;
    SortedMap<Integer, Integer> slots = new TreeMap<>();
    for (var e : parts.packedExperts().entrySet()) {
      boolean more = each < most && e.getValue() <= rest;
      rest -= more ? e.getValue() : 0;
      slots.put(e.getKey(), more ? each + 1 : each);
    }
    long stored = parts.stored().getOrDefault(Role.ROUTED, 0L);
    return new CacheSizes(slots, spares, spares / 2, READERS, memory() - budget < stored);
  }

  /** Of the machine or the container. */
  private static long memory() {
    return ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
        ? system.getTotalMemorySize()
        : Long.MAX_VALUE;
  }

  private static EngineException tooSmall(
      GgufFile file, EngineOptions options, long minimum, boolean dense) {
    return new EngineException(
        file.path()
            + ": "
            + options.memory()
            + " bytes of memory are too few; it needs at least "
            + minimum
            + " ("
            + Math.ceilDiv(minimum, 1_000_000)
            + " MB)"
            + (dense ? ", as it has no experts that could stay on disk" : ""));
  }

  /** Bytes in memory altogether. */
  public long total() {
    long weights = roles.stream().mapToLong(RoleBytes::resident).sum();
    return weights + cache + scratch + machine + staging;
  }
}
