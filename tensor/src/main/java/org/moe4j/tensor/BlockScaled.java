package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.IntConsumer;

/**
 * A weight in a safetensors file as codes of a few bits and a scale for every block of them.
 * Opening checks names, types and shapes; values are read by {@link #loadInto}, in pieces, so that
 * beside the target no more than a few hundred kilobytes per thread are taken.
 */
public abstract sealed class BlockScaled permits Fp8Blocks, Mxfp4Blocks {
  /** Elements of a piece: its codes and values stay in a core's cache. A multiple of 32. */
  static final int PIECE = 1 << 16;

  final Safetensors in;
  final StoredTensor codes;
  final StoredTensor scales;
  private final long[] shape;
  private final long columns;
  private final long rows;

  BlockScaled(Safetensors in, StoredTensor codes, StoredTensor scales, long[] shape) {
    this.in = in;
    this.codes = codes;
    this.scales = scales;
    this.shape = shape;
    this.columns = shape[shape.length - 1];
    this.rows = Arrays.stream(shape, 0, shape.length - 1).reduce(1, Math::multiplyExact);
  }

  /** The sizes of the weight, not of its codes. */
  public final long[] shape() {
    return shape.clone();
  }

  /** The names of the stored tensors that make up this weight. */
  public final List<String> storedNames() {
    return List.of(codes.name(), scales.name());
  }

  /** Reads the weight into new memory on the CPU, as {@link #loadInto} does. */
  public final Tensor load(DType dtype) {
    requireType(dtype);
    Tensor loaded = Tensor.empty(dtype, Device.CPU, shape);
    loadInto(loaded);
    return loaded;
  }

  /**
   * Reads the weight into existing memory: element = code x scale, rounded once to F32 (overflow
   * gives an infinity, subnormals are kept); for a BF16 target that is rounded to nearest, ties to
   * even. Any strides and any device will do; a contiguous CPU target is written directly.
   *
   * @param target F32 or BF16, of {@link #shape}
   * @throws MoeException if type or shape differ, or a scale is not finite (the target is then
   *     untouched), or the file cannot be read
   */
  public final void loadInto(Tensor target) {
    requireType(target.dtype());
    if (!Arrays.equals(shape, target.shape())) {
      throw failure(
          codes, "holds " + Arrays.toString(shape) + ", not " + Arrays.toString(target.shape()));
    }
    Decoder decoder = decoder(0, rows);
    long across = Math.min(columns, PIECE);
    long down = Math.min(rows, PIECE / across);
    long perRow = Math.ceilDiv(columns, across);
    int pieces = Math.toIntExact(perRow * Math.ceilDiv(rows, down));
    boolean onCpu = target.device() == Device.CPU;
    MemorySegment direct = onCpu && target.isContiguous() ? target.segment() : MemorySegment.NULL;
    IntConsumer piece =
        i -> piece(decoder, target, direct, i / perRow * down, down, i % perRow * across);
    if (onCpu) {
      Workers.run(pieces, piece);
      return;
    }
    // One link to the device: decoding in turn keeps up with it and needs one stream only.
    try (NoGrad off = NoGrad.open()) {
      for (int i = 0; i < pieces; i++) {
        try (Scope scope = Scope.open()) {
          piece.accept(i);
        }
      }
    }
  }

  /**
   * Reads whole rows, counted over all matrices from {@code first} on, into existing memory as
   * {@link #loadInto(Tensor)} does: its elements in row-major order are those of the rows, whatever
   * its shape and strides are. It runs on the calling thread, for whoever reads several weights at
   * once.
   *
   * @param target F32 or BF16, of a multiple of a row's elements
   * @throws MoeException if the type differs, a scale is not finite or the file cannot be read
   */
  public final void loadRows(long first, Tensor target) {
    requireType(target.dtype());
    long count = target.numel() / columns;
    if (count * columns != target.numel()) {
      throw new IllegalArgumentException(target + " is not made of rows of " + columns);
    }
    Objects.checkFromIndexSize(first, count, rows);
    if (target.device() == Device.META) {
      return;
    }
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      fill(decoder(first, count), first, target);
    }
  }

  private void fill(Decoder decoder, long row, Tensor target) {
    long n = target.numel();
    if (target.device() == Device.CPU && target.isContiguous()) {
      fillDirectly(decoder, row, n / columns, target);
      return;
    }
    long slices = target.dim() == 0 ? 1 : target.size(0);
    // So many slices of dimension 0 begin and end where rows do.
    long unit = slicesPerRow(n / slices);
    if (n <= PIECE || unit >= slices || slices % unit != 0) {
      Tensor staged = Tensor.empty(target.dtype(), Device.CPU, target.shape());
      fillDirectly(decoder, row, n / columns, staged);
      target.copyInPlace(staged);
      return;
    }
    long slice = n / slices;
    long block = Math.max(1, PIECE / (slice * unit)) * unit;
    for (long i = 0; i < slices; i += block) {
      try (Scope scope = Scope.open()) {
        Tensor part =
            block == 1 ? target.select(0, i) : target.narrow(0, i, Math.min(block, slices - i));
        fill(decoder, row + i * slice / columns, part);
      }
    }
  }

  private long slicesPerRow(long slice) {
    long most = Math.max(slice, columns);
    long least = Math.min(slice, columns);
    return most % least != 0 ? Long.MAX_VALUE : slice >= columns ? 1 : columns / slice;
  }

  private void fillDirectly(Decoder decoder, long row, long count, Tensor target) {
    MemorySegment direct = target.segment();
    long across = Math.min(columns, PIECE);
    long down = Math.max(1, PIECE / columns);
    for (long r = 0; r < count; r += down) {
      for (long c = 0; c < columns; c += across) {
        int height = (int) Math.min(down, count - r);
        int width = (int) Math.min(across, columns - c);
        float[] values = new float[height * width];
        decoder.decode(row + r, c, height, width, values);
        put(values, target.dtype(), direct, r * columns + c);
      }
    }
  }

  private void piece(
      Decoder decoder, Tensor target, MemorySegment direct, long row, long down, long column) {
    int r = (int) Math.min(down, rows - row);
    int c = (int) Math.min(PIECE, columns - column);
    float[] values = new float[r * c];
    decoder.decode(row, column, r, c, values);
    if (direct.byteSize() > 0) {
      put(values, target.dtype(), direct, row * columns + column);
      return;
    }
    Tensor staged = Tensor.empty(target.dtype(), Device.CPU, r, c);
    put(values, target.dtype(), staged.segment(), 0);
    spread(staged, target, row, column);
  }

  private static void put(float[] values, DType dtype, MemorySegment to, long at) {
    if (dtype == DType.F32) {
      MemorySegment.copy(values, 0, to, ValueLayout.JAVA_FLOAT, at * 4, values.length);
      return;
    }
    short[] rounded = new short[values.length];
    for (int i = 0; i < values.length; i++) {
      rounded[i] = SmallFloats.bf16(values[i]);
    }
    MemorySegment.copy(rounded, 0, to, ValueLayout.JAVA_SHORT, at * 2, values.length);
  }

  /** Copies rows, counted over all matrices of the target, to where its strides place them. */
  private static void spread(Tensor staged, Tensor target, long row, long column) {
    long[] sizes = target.shape();
    long perMatrix = sizes[sizes.length - 2];
    long count = staged.size(0);
    for (long done = 0; done < count; ) {
      long first = (row + done) % perMatrix;
      long n = Math.min(count - done, perMatrix - first);
      Tensor matrix = target;
      long index = (row + done) / perMatrix;
      for (int d = sizes.length - 3; d >= 0; d--) {
        matrix = matrix.select(d, index % sizes[d]);
        index /= sizes[d];
      }
      matrix
          .narrow(0, first, n)
          .narrow(1, column, staged.size(1))
          .copyInPlace(staged.narrow(0, done, n));
      done += n;
    }
  }

  /**
   * A decoder for {@code count} rows from {@code first} on; reads their scales as far as it must to
   * refuse those that are not finite.
   */
  abstract Decoder decoder(long first, long count);

  /** Computes a rectangle of the weight; used by several threads at once. */
  @FunctionalInterface
  interface Decoder {
    /**
     * Computes {@code rows} x {@code columns} elements into {@code out}; if there is more than one
     * row they are whole ones. Rows are counted over all matrices.
     */
    void decode(long row, long column, int rows, int columns, float[] out);
  }

  final byte[] bytes(StoredTensor stored, long from, int count) {
    byte[] read = new byte[count];
    in.read(stored.name(), from, MemorySegment.ofArray(read));
    return read;
  }

  private void requireType(DType dtype) {
    if (dtype != DType.F32 && dtype != DType.BF16) {
      throw failure(codes, "is read as F32 or BF16, not as " + dtype.label());
    }
  }

  final MoeException failure(StoredTensor stored, String problem) {
    return failure(in, stored, problem);
  }

  static MoeException failure(Safetensors in, StoredTensor stored, String problem) {
    return new MoeException(in.path() + ": tensor " + Names.shown(stored.name()) + " " + problem);
  }

  /**
   * The codes of a weight, after the checks that all formats share.
   *
   * @throws MoeException if there is no such tensor or it has another type or too few dimensions
   */
  static StoredTensor codes(Safetensors in, String name, DType dtype, int leastDimensions) {
    StoredTensor codes = in.describe(name);
    if (codes.dtype() != dtype) {
      throw failure(in, codes, "is " + codes.dtype().label() + ", expected " + dtype.label());
    }
    if (codes.shape().size() < leastDimensions || codes.elements() == 0) {
      throw failure(
          in,
          codes,
          "has shape " + codes.shape() + ", expected " + leastDimensions + " sizes above 0");
    }
    return codes;
  }

  /**
   * The scales of a weight, checked.
   *
   * @throws MoeException if there is no such tensor or it has another type or shape
   */
  static StoredTensor scales(
      Safetensors in, StoredTensor codes, String name, List<DType> types, List<Long> shape) {
    if (!in.names().contains(name)) {
      throw failure(in, codes, "has no scales: there is no tensor " + Names.shown(name));
    }
    StoredTensor scales = in.describe(name);
    if (!types.contains(scales.dtype())) {
      throw failure(
          in,
          scales,
          "is "
              + scales.dtype().label()
              + ", expected "
              + String.join(" or ", types.stream().map(DType::label).toList()));
    }
    if (!scales.shape().equals(shape)) {
      throw failure(
          in,
          scales,
          "has shape " + scales.shape() + ", expected " + shape + " for codes " + codes.shape());
    }
    return scales;
  }
}
