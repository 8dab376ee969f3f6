package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.moe4j.Parameter;
import org.moe4j.Role;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.Tensor;

/**
 * The tensors of one map made from the tensors of another, with one parameter, or one expert of a
 * stack, in memory at a time.
 */
public final class WeightStream implements AutoCloseable {
  /** A parameter, or one expert of it, and its first element there. */
  private record Unit(String parameter, long start) {}

  /** What fills a unit. */
  private record Fill(WeightSource source, Region region) {}

  private final Optional<DType> asked;
  private final Map<String, Long> unitOf = new HashMap<>();
  private final Map<String, List<WeightSource>> sourcesOf = new HashMap<>();
  private final Map<Unit, List<Fill>> fills = new HashMap<>();
  private final LoadProgress progress;
  private long total;
  private long done;
  private @Nullable Unit held;
  private @Nullable Tensor copy;
  private final Set<Fill> filled = new HashSet<>();

  /**
   * A stream.
   *
   * @param asked the type of the weights; without it each keeps its own, and codes with scales
   *     become BF16
   */
  WeightStream(
      Map<DiskTensor, WeightSource> sources,
      WeightMap target,
      Optional<DType> asked,
      LoadProgress progress) {
    this.asked = asked;
    this.progress = progress;
    Map<Region, WeightSource> regions = new LinkedHashMap<>();
    sources.forEach(
        (tensor, source) -> tensor.parts().forEach(p -> regions.put(Region.of(p), source)));
    Set<String> indivisible = new HashSet<>();
    regions.forEach(
        (region, source) -> {
          Parameter p = region.part().parameter();
          sourcesOf.computeIfAbsent(p.name(), n -> new ArrayList<>()).add(source);
          long unit = Region.unit(p);
          boolean cuts = region.goesOver(unit) && source.divides(unit(region, unit));
          if (!region.isWithin(unit) && !cuts) {
            indivisible.add(p.name());
          }
        });
    for (DiskTensor tensor : target.list()) {
      for (DiskTensor.Part part : tensor.parts()) {
        Region region = Region.of(part);
        long unit = Region.unit(part.parameter());
        if (!region.isWithin(unit) && !region.goesOver(unit)) {
          indivisible.add(part.parameter().name());
        }
      }
    }
    for (DiskTensor tensor : sources.keySet()) {
      for (DiskTensor.Part part : tensor.parts()) {
        Parameter p = part.parameter();
        unitOf.put(p.name(), indivisible.contains(p.name()) ? p.tensor().numel() : Region.unit(p));
      }
    }
    regions.forEach(
        (region, source) ->
            slices(region)
                .forEach(
                    s ->
                        fills
                            .computeIfAbsent(unit(s), u -> new ArrayList<>())
                            .add(new Fill(source, s))));
  }

  private static long unit(Region region, long unit) {
    return region.part().count() / (region.part().parameter().tensor().numel() / unit);
  }

  /** A region by its units. */
  private List<Region> slices(Region region) {
    long unit = unitOf.getOrDefault(region.part().parameter().name(), 1L);
    if (region.isWithin(unit)) {
      return List.of(region);
    }
    List<Region> slices = new ArrayList<>();
    for (long i = 0; i < region.sizes().getFirst(); i++) {
      slices.add(region.of(i));
    }
    return slices;
  }

  private Unit unit(Region slice) {
    String name = slice.part().parameter().name();
    long unit = unitOf.getOrDefault(name, 1L);
    return new Unit(name, slice.offset() / unit * unit);
  }

  /**
   * The target's tensors, to be written in this order. Their pieces' values belong to the stream
   * and change with the next piece.
   */
  public List<SafetensorsWriter.Item> items(WeightMap target) {
    List<SafetensorsWriter.Item> items = new ArrayList<>();
    for (DiskTensor tensor : target.list()) {
      DType dtype = dtype(tensor.parts().getFirst().parameter());
      StoredTensor stored = new StoredTensor(tensor.name(), dtype, tensor.shape());
      List<Supplier<Tensor>> pieces = new ArrayList<>();
      for (DiskTensor.Part part : tensor.parts()) {
        slices(Region.of(part)).forEach(s -> pieces.add(() -> values(s, dtype)));
      }
      boolean plain = pieces.size() == 1;
      long[] sizes = stored.sizes();
      items.add(
          plain
              ? new SafetensorsWriter.Item(stored, () -> pieces.getFirst().get().reshape(sizes))
              : new SafetensorsWriter.Item(stored, pieces));
      total += stored.bytes();
    }
    return items;
  }

  /** The type of a parameter in the target. */
  private DType dtype(Parameter p) {
    List<WeightSource> from = sourcesOf.getOrDefault(p.name(), List.of());
    List<DType> types =
        from.stream()
            .map(s -> s instanceof WeightSource.Plain ? s.dtype() : DType.BF16)
            .distinct()
            .toList();
    if (types.isEmpty()) {
      throw new IllegalStateException("nothing is stored of " + p.name());
    }
    if (asked.isPresent() && !(p.role() instanceof Role.State)) {
      return asked.get();
    }
    // No part of it may lose what another keeps.
    return types.size() == 1 ? types.getFirst() : DType.F32;
  }

  private Tensor values(Region slice, DType dtype) {
    Unit unit = unit(slice);
    List<Fill> from = fills.getOrDefault(unit, List.of());
    Tensor made = copy;
    if (made == null || !unit.equals(held)) {
      close();
      made = unfilled(unit, from, dtype);
      copy = made;
      held = unit;
    }
    for (Fill fill : from) {
      if (fill.region().meets(slice) && filled.add(fill)) {
        Region region = fill.region();
        fill.source().read(region.part().from(), region.in(made, unit.start()));
      }
    }
    done += slice.part().count() * dtype.bytes();
    progress.at(done, total);
    return slice.in(made, unit.start());
  }

  private Tensor unfilled(Unit unit, List<Fill> from, DType dtype) {
    boolean scaled = from.stream().anyMatch(f -> !(f.source() instanceof WeightSource.Plain));
    boolean direct = !scaled || dtype == DType.F32 || dtype == DType.BF16;
    long elements = unitOf.getOrDefault(unit.parameter(), 0L);
    try (Scope scope = Scope.open()) {
      return Tensor.empty(direct ? dtype : DType.F32, Device.CPU, elements).keep();
    }
  }

  /** Frees the copy that is held. */
  @Override
  public void close() {
    Tensor old = copy;
    copy = null;
    held = null;
    filled.clear();
    if (old != null) {
      old.close();
    }
  }
}
