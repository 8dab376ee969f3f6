package org.moe4j.models.hf;

import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.Parameter;
import org.moe4j.Role;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Where a part of a disk tensor lies in its parameter, as sizes and strides, so that it can be
 * found in a copy of the parameter or of one expert of it.
 *
 * @param part the part
 * @param sizes of its view
 * @param strides of its view, in elements of the parameter
 * @param offset of its first element in the parameter
 */
record Region(DiskTensor.Part part, List<Long> sizes, List<Long> strides, long offset) {
  static Region of(DiskTensor.Part part) {
    try (Scope scope = Scope.open()) {
      Tensor view = part.tensor();
      long[] sizes = view.shape();
      long[] strides = view.strides();
      return new Region(
          part,
          IntStream.range(0, sizes.length).mapToObj(i -> sizes[i]).toList(),
          IntStream.range(0, sizes.length).mapToObj(i -> strides[i]).toList(),
          view.storageOffset());
    }
  }

  /** The elements of one expert, or of the whole parameter if it is not a stack of experts. */
  static long unit(Parameter p) {
    long n = p.tensor().numel();
    boolean stacked =
        p.role() instanceof Role.RoutedExperts r
            && p.tensor().dim() > 1
            && p.tensor().size(0) == r.experts();
    return stacked ? n / p.tensor().size(0) : n;
  }

  /** Its last element in the parameter. */
  private long last() {
    long last = offset;
    for (int d = 0; d < sizes.size(); d++) {
      last += (sizes.get(d) - 1) * strides.get(d);
    }
    return last;
  }

  /** True if it lies in one unit of so many elements. */
  boolean isWithin(long unit) {
    return offset / unit == last() / unit;
  }

  /** True unless one of them ends before the other begins: they may then share elements. */
  boolean meets(Region other) {
    return offset <= other.last() && other.offset <= last();
  }

  /** True if each index of dimension 0 is another unit, from the first to the last. */
  boolean goesOver(long unit) {
    return !sizes.isEmpty()
        && strides.getFirst() == unit
        && sizes.getFirst() * unit == part.parameter().tensor().numel()
        && of(0).isWithin(unit);
  }

  /** The elements at one index of dimension 0. */
  Region of(long index) {
    long count = part.count() / sizes.getFirst();
    DiskTensor.Part slice =
        new DiskTensor.Part(
            part.parameter(),
            p -> part.view().apply(p).select(0, index),
            part.from() + index * count,
            count);
    return new Region(
        slice,
        sizes.subList(1, sizes.size()),
        strides.subList(1, strides.size()),
        offset + index * strides.getFirst());
  }

  /** These elements in a copy of the unit that starts at element {@code start}. */
  Tensor in(Tensor copy, long start) {
    return copy.strided(array(sizes), array(strides), offset - start);
  }

  private static long[] array(List<Long> values) {
    return values.stream().mapToLong(Long::longValue).toArray();
  }
}
