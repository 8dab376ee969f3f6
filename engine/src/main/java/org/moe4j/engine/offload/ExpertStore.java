package org.moe4j.engine.offload;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.model.Expert;
import org.moe4j.engine.model.ExpertSource;
import org.moe4j.engine.model.ExpertTensors;

/**
 * Experts on disk behind a cache of some for each layer. Threads of its own read and pack; they are
 * never interrupted, as that would close the files. What is missing is read first, in the order in
 * which it was asked for; guessed experts of a later layer when nothing else is to be read, into
 * spare memory, as far as guesses came true before: they drive nothing out before they are asked
 * for. One that was wrong is given up between two parts of it.
 */
public final class ExpertStore implements ExpertSource {
  private final Packing packing;
  private final Sources sources;
  private final CacheSizes sizes;
  private final SortedMap<Integer, CachedLayer> layers = new TreeMap<>();
  private final List<Thread> readers = new ArrayList<>();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition work = lock.newCondition();
  private final Condition arrived = lock.newCondition();
  private final Deque<Load> urgent = new ArrayDeque<>();
  private final List<Load> early = new ArrayList<>();
  private final Deque<Integer> guesses = new ArrayDeque<>();
  private final Trust trust;
  private int guessedLayer;
  private int reading;
  private @Nullable Asked asked;
  private boolean closed;

  private long hits;
  private long misses;
  private long bytesRead;
  private long guessesTold;
  private long guessesRight;
  private long guessesRead;
  private long guessesUsed;
  private long waitNanos;

  /**
   * A store of the experts of {@code file}.
   *
   * @param stored the layers that route, by index
   * @param arena gives the memory of packed experts, some only when they are first needed; to be
   *     closed after the store
   */
  public static ExpertStore open(
      GgufFile file,
      SortedMap<Integer, ExpertTensors> stored,
      CacheSizes sizes,
      Packing packing,
      Arena arena) {
    Disk disk = sizes.direct() ? ChannelDisk.DIRECT : ChannelDisk.CACHED;
    return new ExpertStore(file, stored, sizes, packing, arena, disk);
  }

  ExpertStore(
      GgufFile file,
      SortedMap<Integer, ExpertTensors> stored,
      CacheSizes sizes,
      Packing packing,
      Arena arena,
      Disk disk) {
    this.packing = packing;
    this.sizes = sizes;
    this.trust = new Trust(sizes.ahead());
    this.sources = new Sources(disk);
    try {
      Map<Long, Slots> slots = new HashMap<>();
      stored.forEach(
          (index, tensors) -> {
            StoredLayer layer = StoredLayer.of(tensors, file, sources, packing);
            Slots own = slots.computeIfAbsent(layer.bytes(), b -> new Slots(arena, b));
            int held = Math.min(tensors.count(), sizes.slots().get(index));
            own.allow(held);
            layers.put(index, new CachedLayer(index, layer, new ExpertLru<>(held), own));
          });
      slots.values().forEach(s -> s.allow(sizes.spares()));
    } catch (RuntimeException e) {
      sources.close();
      throw e;
    }
    int most =
        layers.values().stream()
            .flatMap(l -> l.stored().parts().stream())
            .mapToInt(Part::bytes)
            .max()
            .orElse(0);
    long staging = most + 2L * sources.alignment();
    for (int i = 0; i < sizes.readers(); i++) {
      MemorySegment memory = arena.allocate(staging, sources.alignment());
      readers.add(Thread.ofPlatform().daemon().name("moe4j-disk-" + i).start(() -> serve(memory)));
    }
  }

  /** About the memory that a thread needs to read matrices of so many bytes. */
  public static long staging(long matrix) {
    return Math.min(StoredLayer.MOST, matrix) + 8192;
  }

  @Override
  public int ahead() {
    return sizes.ahead();
  }

  @Override
  public Request request(int layer, int[] experts) {
    CachedLayer from = layer(layer);
    check(from, experts);
    lock.lock();
    try {
      if (closed) {
        throw new EngineException("the model is closed");
      }
      if (asked != null) {
        throw new IllegalStateException("experts are still asked for; close that request first");
      }
      guesses.clear();
      int right = trust.asked(guessedLayer == layer ? experts : new int[0]);
      guessesRight += right;
      Asked now = new Asked(from, experts);
      asked = now;
      // All that are here count as used before any of them can be driven out.
      for (int i = 0; i < experts.length; i++) {
        Optional<MemorySegment> slot = from.lru().use(experts[i]);
        if (slot.isPresent()) {
          now.here.add(i);
          now.hereSlots.add(slot.get());
        } else {
          now.missing.add(i);
        }
      }
      hits += now.here.size();
      misses += now.missing.size();
      now.left = now.missing.size();
      claim(now);
      fill();
      return now;
    } finally {
      lock.unlock();
    }
  }

  private CachedLayer layer(int index) {
    CachedLayer layer = layers.get(index);
    if (layer == null) {
      throw new IllegalArgumentException("layer " + index + " has no experts on disk");
    }
    return layer;
  }

  private static void check(CachedLayer layer, int[] experts) {
    int count = layer.stored().tensors().count();
    for (int i = 0; i < experts.length; i++) {
      if (experts[i] < 0 || experts[i] >= count) {
        throw new IllegalArgumentException("expert " + experts[i] + " of " + count);
      }
      if (i > 0 && experts[i] <= experts[i - 1]) {
        throw new IllegalArgumentException(
            "experts " + experts[i - 1] + ", " + experts[i] + " are not in ascending order");
      }
    }
  }

  /** Takes over those that were guessed; the others that were guessed are given up. */
  private void claim(Asked now) {
    for (Load load : List.copyOf(early)) {
      int place = load.layer.index() == now.layer.index() ? now.missing(load.expert) : -1;
      if (place < 0) {
        drop(load);
      } else {
        early.remove(load);
        now.missing.remove(Integer.valueOf(place));
        now.places.put(load, place);
        guessesUsed++;
        load.wanted = true;
        if (load.over()) {
          now.ready.add(load);
        } else if (load.more()) {
          urgent.add(load);
        }
      }
    }
  }

  private void drop(Load load) {
    early.remove(load);
    urgent.remove(load);
    load.drop();
    if (load.over()) {
      load.layer.slots().give(load.slot);
    }
  }

  /** Gives slots to experts that are asked for while there are any. */
  private void fill() {
    Asked now = asked;
    while (now != null && !now.missing.isEmpty()) {
      Optional<MemorySegment> slot = now.layer.slots().take();
      if (slot.isEmpty()) {
        break;
      }
      int place = now.missing.removeFirst();
      Load load = new Load(now.layer, now.experts[place], slot.get(), true);
      now.places.put(load, place);
      urgent.add(load);
    }
    work.signalAll();
  }

  @Override
  public void guess(int layer, int[] experts) {
    CachedLayer from = layer(layer);
    lock.lock();
    try {
      guesses.clear();
      guessedLayer = layer;
      int[] missing =
          Arrays.stream(experts).filter(e -> !from.lru().holds(e)).limit(sizes.ahead()).toArray();
      guessesTold += missing.length;
      int trusted = trust.told(missing);
      Arrays.stream(missing).limit(trusted).forEach(guesses::add);
      work.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** A part of an expert that a thread has taken on. */
  private record Errand(Load load, Part part) {}

  /** What a thread of this store does. */
  private void serve(MemorySegment staging) {
    Optional<Errand> errand = take(Optional.empty(), Optional.empty());
    while (errand.isPresent()) {
      Load load = errand.get().load;
      Optional<RuntimeException> failure = Optional.empty();
      try {
        errand.get().part.read(load.expert, staging, packing, load.slot);
      } catch (RuntimeException e) {
        failure = Optional.of(e);
      }
      errand = take(errand, failure);
    }
  }

  /** Ends an errand and waits for the next; there is none when the store is closed. */
  private Optional<Errand> take(Optional<Errand> done, Optional<RuntimeException> failure) {
    lock.lock();
    try {
      if (done.isPresent()) {
        reading--;
        end(done.get().load, failure);
      }
      while (!closed) {
        Optional<Load> next = next();
        if (next.isPresent()) {
          Part part = next.get().begin();
          bytesRead += part.bytes();
          reading++;
          return Optional.of(new Errand(next.get(), part));
        }
        arrived.signalAll();
        work.awaitUninterruptibly();
      }
      return Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  private void end(Load load, Optional<RuntimeException> failure) {
    failure.ifPresentOrElse(load::fail, load::end);
    if (load.over()) {
      arrive(load);
    }
  }

  /** The load of which a part is to be read now. */
  private Optional<Load> next() {
    while (!urgent.isEmpty()) {
      if (urgent.getFirst().more()) {
        return Optional.of(urgent.getFirst());
      }
      urgent.removeFirst();
    }
    for (Load load : early) {
      if (load.more()) {
        return Optional.of(load);
      }
    }
    return asked == null || asked.missing.isEmpty() ? guessed() : Optional.empty();
  }

  private Optional<Load> guessed() {
    if (guesses.isEmpty() || early.size() >= sizes.ahead()) {
      return Optional.empty();
    }
    CachedLayer layer = layer(guessedLayer);
    Optional<Load> load =
        layer.slots().take().map(s -> new Load(layer, guesses.removeFirst(), s, false));
    load.ifPresent(early::add);
    guessesRead += load.isPresent() ? 1 : 0;
    return load;
  }

  private void arrive(Load load) {
    if (load.wanted && !load.dropped()) {
      if (asked != null) {
        asked.ready.add(load);
      }
      arrived.signalAll();
    } else if (load.dropped()) {
      load.layer.slots().give(load.slot);
      fill();
    } else if (load.failure() != null) {
      // If it is asked for in spite of that, it is read again and the failure is told.
      drop(load);
    }
  }

  /** What was done so far. */
  public OffloadStatistics statistics() {
    lock.lock();
    try {
      return new OffloadStatistics(
          hits, misses, bytesRead, guessesTold, guessesRight, guessesRead, guessesUsed, waitNanos);
    } finally {
      lock.unlock();
    }
  }

  /** The experts of a layer that are in memory, the one to go first in front. */
  List<Integer> held(int layer) {
    lock.lock();
    try {
      return layer(layer).lru().experts();
    } finally {
      lock.unlock();
    }
  }

  /** Waits until nothing is being read and nothing is left that could be. */
  void awaitQuiet() {
    lock.lock();
    try {
      while (reading > 0 || next().isPresent()) {
        arrived.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    lock.lock();
    try {
      closed = true;
      work.signalAll();
    } finally {
      lock.unlock();
    }
    for (Thread reader : readers) {
      join(reader);
    }
    sources.close();
  }

  private static void join(Thread reader) {
    boolean interrupted = false;
    while (reader.isAlive()) {
      try {
        reader.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** A request; guarded by the lock. */
  private final class Asked implements Request {
    private final CachedLayer layer;
    private final int[] experts;
    private final List<Integer> here = new ArrayList<>();
    private final List<MemorySegment> hereSlots = new ArrayList<>();
    private final List<Integer> missing = new ArrayList<>();
    private final Map<Load, Integer> places = new HashMap<>();
    private final Deque<Load> ready = new ArrayDeque<>();
    private int left;

    Asked(CachedLayer layer, int[] experts) {
      this.layer = layer;
      this.experts = experts;
    }

    /** The place of an expert that is missing, or -1. */
    int missing(int expert) {
      for (int place : missing) {
        if (experts[place] == expert) {
          return place;
        }
      }
      return -1;
    }

    @Override
    public Ready next() {
      lock.lock();
      try {
        if (!here.isEmpty()) {
          Ready all = handed(here, hereSlots);
          here.clear();
          return all;
        }
        return left == 0 ? Ready.NONE : arrivals();
      } finally {
        lock.unlock();
      }
    }

    private Ready arrivals() {
      long from = System.nanoTime();
      while (ready.isEmpty()) {
        arrived.awaitUninterruptibly();
      }
      waitNanos += System.nanoTime() - from;
      List<Integer> which = new ArrayList<>();
      List<MemorySegment> memory = new ArrayList<>();
      // No more at once than the cache holds: none of them may drive out another.
      while (!ready.isEmpty() && which.size() < layer.lru().capacity()) {
        Load load = ready.removeFirst();
        RuntimeException failure = load.failure();
        if (failure != null) {
          layer.slots().give(load.slot);
          throw failure;
        }
        layer.lru().put(load.expert, load.slot).ifPresent(layer.slots()::give);
        which.add(places.get(load));
        memory.add(load.slot);
      }
      left -= which.size();
      if (left == 0) {
        settle();
      }
      fill();
      return handed(which, memory);
    }

    /** Whatever order they arrived in, those that were missing now count as used in order. */
    private void settle() {
      places.values().stream().sorted().forEach(place -> layer.lru().use(experts[place]));
    }

    private Ready handed(List<Integer> which, List<MemorySegment> memory) {
      List<Expert> usable = new ArrayList<>(which.size());
      for (int i = 0; i < which.size(); i++) {
        usable.add(layer.stored().expert(experts[which.get(i)], memory.get(i), packing));
      }
      return new Ready(which.stream().mapToInt(i -> i).toArray(), usable);
    }

    @Override
    public void close() {
      lock.lock();
      try {
        if (asked == this) {
          asked = null;
          missing.clear();
          // Those already handed over are in the cache; the rest comes back when its reads end.
          ready.forEach(load -> layer.slots().give(load.slot));
          places.keySet().stream().filter(load -> !load.over()).forEach(ExpertStore.this::drop);
          work.signalAll();
        }
      } finally {
        lock.unlock();
      }
    }
  }
}
