package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.StoredTensors;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/** Fills a model's parameters from a checkpoint; all names and shapes are checked before any. */
final class WeightLoader {
  private static final int SHOWN = 5;

  /** What one thread reads before it takes the next piece. */
  private static final long PIECE_BYTES = 1 << 24;

  private final StoredTensors from;
  private final WeightMap map;

  private WeightLoader(StoredTensors from, WeightMap map) {
    this.from = from;
    this.map = map;
  }

  /** Reads every tensor of {@code map} from a checkpoint without codes and scales. */
  static void load(StoredTensors from, WeightMap map, Predicate<String> ignored) {
    load(from, map, ignored, Quantisation.DEFAULT, LoadProgress.NONE);
  }

  /**
   * Reads every tensor of {@code map} from {@code from}, on all threads.
   *
   * @param ignored names on disk that mean nothing to the model
   * @throws MoeException if tensors are missing, unexpected or of another shape
   */
  static void load(
      StoredTensors from,
      WeightMap map,
      Predicate<String> ignored,
      Quantisation quantisation,
      LoadProgress progress) {
    read(sources(from, map, ignored, quantisation), progress);
  }

  /**
   * What each tensor of the map is read from, in the order of the file.
   *
   * @throws MoeException as {@link #load}
   */
  static Map<DiskTensor, WeightSource> sources(
      StoredTensors from, WeightMap map, Predicate<String> ignored, Quantisation quantisation) {
    return new WeightLoader(from, map).open(ignored, quantisation);
  }

  private Map<DiskTensor, WeightSource> open(Predicate<String> ignored, Quantisation quantisation) {
    Set<String> wanted = map.tensors().keySet();
    refuse(from, "missing", wanted.stream().filter(n -> !WeightSource.has(from, n)).toList());
    Set<String> used = new HashSet<>();
    Map<String, Integer> places = new HashMap<>();
    from.names().forEach(n -> places.put(n, places.size()));
    Map<DiskTensor, WeightSource> opened = new LinkedHashMap<>();
    for (DiskTensor tensor : map.list()) {
      WeightSource source = WeightSource.open(from, tensor.name(), quantisation);
      source.stored().forEach(s -> used.add(s.name()));
      opened.put(tensor, source);
    }
    refuse(
        from,
        "unexpected",
        from.names().stream().filter(n -> !used.contains(n) && !ignored.test(n)).toList());
    opened.forEach(this::check);
    Map<DiskTensor, WeightSource> sorted = new LinkedHashMap<>();
    opened.entrySet().stream()
        .sorted(Comparator.comparing(e -> places.get(e.getValue().stored().getFirst().name())))
        .forEach(e -> sorted.put(e.getKey(), e.getValue()));
    return sorted;
  }

  private void check(DiskTensor tensor, WeightSource source) {
    StoredTensor first = source.stored().getFirst();
    if (!source.shape().equals(tensor.shape())) {
      throw new MoeException(
          from.path()
              + ": a checkpoint of another shape: tensor "
              + tensor.name()
              + " is "
              + source.shape()
              + ", the configuration expects "
              + tensor.shape());
    }
    DType wanted = tensor.parts().getFirst().parameter().tensor().dtype();
    if (wanted.isFloating() != source.dtype().isFloating()) {
      throw new MoeException(
          from.path()
              + ": tensor "
              + tensor.name()
              + " is of type "
              + first.dtype().label()
              + ", expected "
              + (wanted.isFloating() ? "a floating-point type" : wanted.label()));
    }
  }

  /** A piece of one part: these indices of dimension 0 of its view, or all of it. */
  private record Task(
      WeightSource source,
      DiskTensor.Part part,
      boolean sliced,
      long start,
      long rows,
      long bytes) {
    void run() {
      Tensor target = part.tensor();
      long from = part.from();
      if (sliced) {
        from += target.numel() / target.size(0) * start;
        target = target.narrow(0, start, rows);
      }
      if (source instanceof WeightSource.Plain
          || target.dtype() == DType.F32
          || target.dtype() == DType.BF16) {
        source.read(from, target);
        return;
      }
      // Codes and scales are computed as F32.
      Tensor staged = Tensor.empty(DType.F32, Device.CPU, target.shape());
      source.read(from, staged);
      target.copyInPlace(staged);
    }
  }

  /** Fills the parameters from their sources. */
  static void read(Map<DiskTensor, WeightSource> sources, LoadProgress progress) {
    List<Task> tasks = new ArrayList<>();
    boolean onCpu = true;
    for (Map.Entry<DiskTensor, WeightSource> entry : sources.entrySet()) {
      for (DiskTensor.Part part : entry.getKey().parts()) {
        tasks.addAll(tasks(entry.getValue(), part));
        onCpu &= part.parameter().tensor().device() == Device.CPU;
      }
    }
    long total = tasks.stream().mapToLong(Task::bytes).sum();
    Counter counter = new Counter(total, progress);
    if (onCpu) {
      Workers.run(
          tasks.size(),
          i -> {
            tasks.get(i).run();
            counter.add(tasks.get(i).bytes());
          });
      return;
    }
    // One link to the device: reading in turn keeps up with it and needs one stream only.
    for (Task task : tasks) {
      try (Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        task.run();
      }
      counter.add(task.bytes());
    }
  }

  private static List<Task> tasks(WeightSource source, DiskTensor.Part part) {
    long elements = source.shape().stream().reduce(1L, Math::multiplyExact);
    double perElement = elements == 0 ? 0 : (double) source.bytes() / elements;
    long bytes = Math.round(perElement * part.count());
    try (Scope scope = Scope.open()) {
      Tensor target = part.tensor();
      long rows = target.dim() == 0 ? 1 : target.size(0);
      long perRow = rows == 0 ? 0 : part.count() / rows;
      if (bytes <= PIECE_BYTES || rows < 2 || !source.divides(perRow)) {
        return List.of(new Task(source, part, false, 0, rows, bytes));
      }
      List<Task> tasks = new ArrayList<>();
      long block = Math.max(1, PIECE_BYTES * rows / bytes);
      for (long r = 0; r < rows; r += block) {
        long n = Math.min(block, rows - r);
        tasks.add(new Task(source, part, true, r, n, Math.round(perElement * perRow * n)));
      }
      return tasks;
    }
  }

  /** Adds up what the threads have read. */
  private static final class Counter {
    private final long total;
    private final LoadProgress progress;
    private long done;

    Counter(long total, LoadProgress progress) {
      this.total = total;
      this.progress = progress;
    }

    synchronized void add(long bytes) {
      done += bytes;
      progress.at(done, total);
    }
  }

  /** Throws, naming the first of {@code names}, if there are any. */
  static void refuse(StoredTensors from, String what, Collection<String> names) {
    if (names.isEmpty()) {
      return;
    }
    List<String> first = names.stream().limit(SHOWN).map(WeightLoader::shown).toList();
    String more = names.size() > SHOWN ? " ..." : "";
    throw new MoeException(
        from.path()
            + ": "
            + names.size()
            + (names.size() == 1 ? " tensor" : " tensors")
            + " "
            + what
            + ": "
            + first.stream().collect(Collectors.joining(", "))
            + more);
  }

  private static String shown(String name) {
    String line = name.replaceAll("\\p{Cntrl}", "?");
    return line.length() <= 120 ? line : line.substring(0, 120) + "...";
  }
}
