package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * An n-dimensional array of libtorch, with automatic differentiation.
 *
 * <p>Memory is native: it is freed by the {@link Scope} the tensor was made in, or by {@link
 * #close}. Dimensions may be negative, counting from the last. Operations return new tensors (views
 * where libtorch makes views); those that end in {@code InPlace} change this one. A shape that does
 * not fit raises a RuntimeException whose first line is libtorch's explanation.
 */
public final class Tensor implements AutoCloseable {
  static {
    NativeRuntime.prepare();
  }

  final org.bytedeco.pytorch.Tensor at;

  Tensor(org.bytedeco.pytorch.Tensor at) {
    this.at = at;
  }

  // ---- making ----

  /** CPU tensors of this many bytes ask for huge pages. */
  private static final long LARGE = 1L << 25;

  /** Zeros. */
  public static Tensor zeros(DType dtype, Device device, long... shape) {
    return large(dtype, device, shape)
        ? empty(dtype, device, shape).fillInPlace(0)
        : new Tensor(torch.zeros(shape, options(dtype, device)));
  }

  private static boolean large(DType dtype, Device device, long... shape) {
    long bytes = dtype.bytes();
    for (long size : shape) {
      bytes *= size;
    }
    return device == Device.CPU && bytes >= LARGE;
  }

  /** Zeros of type F32 on the CPU. */
  public static Tensor zeros(long... shape) {
    return zeros(DType.F32, Device.CPU, shape);
  }

  /** Ones of type F32 on the CPU. */
  public static Tensor ones(long... shape) {
    return full(1, DType.F32, Device.CPU, shape);
  }

  /** Every element {@code value}. */
  public static Tensor full(double value, DType dtype, Device device, long... shape) {
    return new Tensor(torch.full(shape, new Scalar(value), options(dtype, device)));
  }

  /** Memory with unspecified contents. */
  public static Tensor empty(DType dtype, Device device, long... shape) {
    Tensor t = new Tensor(torch.empty(shape, options(dtype, device), null));
    if (large(dtype, device, shape)) {
      NativeMemory.hugePages(t.segment());
    }
    return t;
  }

  /** The integers {@code start .. end-1} as I64 on the CPU. */
  public static Tensor arange(long start, long end) {
    return new Tensor(
        torch.arange(new Scalar(start), new Scalar(end), options(DType.I64, Device.CPU)));
  }

  /** A copy of {@code values} as F32 with the given shape (one dimension if none is given). */
  public static Tensor of(float[] values, long... shape) {
    return filled(DType.F32, MemorySegment.ofArray(values), values.length, shape);
  }

  /** A copy of {@code values} as F64. */
  public static Tensor of(double[] values, long... shape) {
    return filled(DType.F64, MemorySegment.ofArray(values), values.length, shape);
  }

  /** A copy of {@code values} as I64. */
  public static Tensor of(long[] values, long... shape) {
    return filled(DType.I64, MemorySegment.ofArray(values), values.length, shape);
  }

  /** A copy of {@code values} as I32. */
  public static Tensor of(int[] values, long... shape) {
    return filled(DType.I32, MemorySegment.ofArray(values), values.length, shape);
  }

  /** A copy of {@code values} as U8. */
  public static Tensor of(byte[] values, long... shape) {
    return filled(DType.U8, MemorySegment.ofArray(values), values.length, shape);
  }

  /** One number without dimensions. */
  public static Tensor scalar(double value, DType dtype) {
    return full(value, dtype, Device.CPU);
  }

  private static Tensor filled(DType dtype, MemorySegment values, int count, long[] shape) {
    Tensor t = empty(dtype, Device.CPU, shape.length == 0 ? new long[] {count} : shape);
    if (t.numel() != count) {
      throw new IllegalArgumentException(
          count + " values do not fill the shape " + Arrays.toString(shape));
    }
    t.segment().copyFrom(values);
    return t;
  }

  static TensorOptions options(DType dtype, Device device) {
    return new TensorOptions(dtype.scalarType())
        .device(new org.bytedeco.pytorch.DeviceOptional(device.handle()));
  }

  // ---- what it is ----

  /** The sizes of all dimensions. */
  public long[] shape() {
    long[] shape = new long[(int) at.dim()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = at.size(i);
    }
    return shape;
  }

  /** The size of one dimension. */
  public long size(long dim) {
    return at.size(dim);
  }

  /** The number of dimensions. */
  public int dim() {
    return (int) at.dim();
  }

  /** The number of elements. */
  public long numel() {
    return at.numel();
  }

  /** The element type. */
  public DType dtype() {
    return DType.of(at.scalar_type());
  }

  /** Where the memory is. */
  public Device device() {
    return at.is_cuda() ? Device.CUDA : at.is_meta() ? Device.META : Device.CPU;
  }

  /** True if the elements lie one behind the other in memory. */
  public boolean isContiguous() {
    return at.is_contiguous();
  }

  /**
   * The elements' own memory, not a copy: valid until this tensor is freed.
   *
   * @throws IllegalStateException if the tensor is not a contiguous one on the CPU
   */
  public MemorySegment segment() {
    if (device() != Device.CPU || !isContiguous()) {
      throw new IllegalStateException("only a contiguous CPU tensor has a memory segment");
    }
    long bytes = numel() * dtype().bytes();
    if (bytes == 0) {
      return MemorySegment.NULL;
    }
    try (Pointer p = at.data_ptr()) {
      return MemorySegment.ofAddress(p.address()).reinterpret(bytes);
    }
  }

  /** The one element of a tensor that has only one. */
  public double item() {
    try (Scalar s = at.item()) {
      return s.toDouble();
    }
  }

  /** All elements in row-major order, as F32. */
  public float[] toFloats() {
    try (Scope scope = Scope.open()) {
      float[] out = new float[Math.toIntExact(numel())];
      MemorySegment.ofArray(out).copyFrom(plain(DType.F32).segment());
      return out;
    }
  }

  /** All elements in row-major order, as F64. */
  public double[] toDoubles() {
    try (Scope scope = Scope.open()) {
      double[] out = new double[Math.toIntExact(numel())];
      MemorySegment.ofArray(out).copyFrom(plain(DType.F64).segment());
      return out;
    }
  }

  /** All elements in row-major order, as I64. */
  public long[] toLongs() {
    try (Scope scope = Scope.open()) {
      long[] out = new long[Math.toIntExact(numel())];
      MemorySegment.ofArray(out).copyFrom(plain(DType.I64).segment());
      return out;
    }
  }

  /** All elements in row-major order, as U8 (booleans as 0 and 1). */
  public byte[] toBytes() {
    try (Scope scope = Scope.open()) {
      byte[] out = new byte[Math.toIntExact(numel())];
      MemorySegment.ofArray(out).copyFrom(plain(DType.U8).segment());
      return out;
    }
  }

  private Tensor plain(DType dtype) {
    return detach().to(Device.CPU).to(dtype).contiguous();
  }

  @Override
  public String toString() {
    return dtype()
        + Arrays.toString(shape())
        + (device() == Device.CPU ? "" : " on " + device().name().toLowerCase(Locale.ROOT));
  }

  // ---- life ----

  /** Makes this tensor outlive its scope: it lives until {@link #close}. Returns this. */
  public Tensor keep() {
    at.retainReference();
    return this;
  }

  /** Gives back what {@link #keep} took: outside any scope, frees the tensor. */
  @Override
  public void close() {
    at.close();
  }

  /** Frees this tensor's hold on its memory at once, whatever scope it belongs to. */
  public void free() {
    at.deallocate();
  }

  // ---- differentiation ----

  /** Starts or stops recording for this leaf. Returns this. */
  public Tensor requiresGrad(boolean on) {
    at.set_requires_grad(on);
    return this;
  }

  /** True if gradients flow to this tensor. */
  public boolean requiresGrad() {
    return at.requires_grad();
  }

  /** True if no recorded operation made this tensor. */
  public boolean isLeaf() {
    return at.is_leaf();
  }

  /** The accumulated gradient of a leaf, if there is one yet. */
  public Optional<Tensor> grad() {
    org.bytedeco.pytorch.Tensor g = at.mutable_grad();
    return g.defined() ? Optional.of(new Tensor(g)) : Optional.empty();
  }

  /** Sets the gradient of this leaf to {@code gradient} itself, without a copy. */
  public void setGrad(Tensor gradient) {
    at.mutable_grad().put(gradient.at);
  }

  /** Forgets the gradient and frees its memory. */
  public void clearGrad() {
    at.mutable_grad().reset();
  }

  /** Adds the gradients of this one number to every leaf that led to it. */
  public void backward() {
    at.backward();
  }

  /**
   * A matrix of {@code shape} that is zero but for some rows: what a gradient is that reached only
   * these rows of a large table. Such a tensor takes memory for its rows alone; of the functions
   * here only those that say so take it.
   *
   * @param index [n] I64, rising
   * @param rows [n, ...] the rows' values, not copied
   */
  public static Tensor ofRows(Tensor index, Tensor rows, long... shape) {
    return new Tensor(
        torch.torch__sparse_coo_tensor_unsafe(
            index.unsqueeze(0).at,
            rows.at,
            shape,
            new TensorOptions(rows.dtype().scalarType()),
            new org.bytedeco.pytorch.BoolOptional(true)));
  }

  /** True if this tensor holds some rows alone ({@link #ofRows}). */
  public boolean isRows() {
    return at.is_sparse();
  }

  /** The numbers of the rows that a tensor {@link #ofRows of rows} holds. */
  public Tensor rowIndex() {
    return new Tensor(at._indices().select(0, 0));
  }

  /** The rows that a tensor {@link #ofRows of rows} holds. */
  public Tensor rowValues() {
    return new Tensor(at._values());
  }

  /** The sum of two tensors {@link #ofRows of rows}: the rows of both. */
  public Tensor addRows(Tensor other) {
    return new Tensor(at.add(other.at).coalesce());
  }

  /** This tensor with all of its rows in memory. */
  public Tensor allRows() {
    return isRows() ? new Tensor(at.to_dense()) : this;
  }

  /** Backward from this tensor with the given gradient of it. */
  public void backward(Tensor gradient) {
    at.backward(
        gradient.at,
        new org.bytedeco.pytorch.BoolOptional(false),
        false,
        new org.bytedeco.pytorch.TensorArrayRefOptional());
  }

  /** The same memory without history. */
  public Tensor detach() {
    return new Tensor(at.detach());
  }

  // ---- types and places ----

  /** This tensor as {@code dtype}; itself if it already is. */
  public Tensor to(DType dtype) {
    return dtype == dtype() ? this : new Tensor(at.to(dtype.scalarType()));
  }

  /** This tensor on {@code device}; itself if it is there. */
  public Tensor to(Device device) {
    return device == device() ? this : new Tensor(at.to(device.handle(), at.scalar_type()));
  }

  /** A contiguous tensor with these elements; itself if it is one. */
  public Tensor contiguous() {
    return at.is_contiguous() ? this : new Tensor(at.contiguous());
  }

  /** A copy in new memory. */
  public Tensor copy() {
    return new Tensor(at.clone());
  }

  /** Overwrites this tensor's elements, converting type and device. */
  public Tensor copyInPlace(Tensor source) {
    at.copy_(source.at);
    return this;
  }

  /** Reinterprets the bytes as another type of the same width, without a copy. */
  public Tensor bitsAs(DType dtype) {
    return new Tensor(at.view(dtype.scalarType()));
  }

  // ---- shape ----

  public Tensor view(long... shape) {
    return new Tensor(at.view(shape));
  }

  public Tensor reshape(long... shape) {
    return new Tensor(at.reshape(shape));
  }

  public Tensor transpose(long a, long b) {
    return new Tensor(at.transpose(a, b));
  }

  /** The transpose of a matrix. */
  public Tensor t() {
    return new Tensor(at.t());
  }

  public Tensor permute(long... order) {
    return new Tensor(at.permute(order));
  }

  /** All elements in one dimension. */
  public Tensor flatten() {
    return new Tensor(at.flatten());
  }

  public Tensor unsqueeze(long dim) {
    return new Tensor(at.unsqueeze(dim));
  }

  public Tensor squeeze(long dim) {
    return new Tensor(at.squeeze(dim));
  }

  public Tensor expand(long... shape) {
    return new Tensor(at.expand(shape));
  }

  /** Elements {@code start .. start+length-1} of one dimension, as a view. */
  public Tensor narrow(long dim, long start, long length) {
    return new Tensor(at.narrow(dim, start, length));
  }

  /** One index of one dimension, which disappears, as a view. */
  public Tensor select(long dim, long index) {
    return new Tensor(at.select(dim, index));
  }

  /** A view of the same storage with the given sizes and strides (in elements). */
  public Tensor strided(long[] shape, long[] strides) {
    return new Tensor(at.as_strided(shape, strides));
  }

  /** The same from the {@code offset}-th element of the storage on. */
  public Tensor strided(long[] shape, long[] strides, long offset) {
    return new Tensor(at.as_strided(shape, strides, new LongOptional(offset)));
  }

  /** How many elements of the storage lie between neighbours, for every dimension. */
  public long[] strides() {
    long[] strides = new long[dim()];
    Arrays.setAll(strides, i -> at.stride(i));
    return strides;
  }

  /** The number of the storage's element that is this tensor's first. */
  public long storageOffset() {
    return at.storage_offset();
  }

  public static Tensor cat(List<Tensor> parts, long dim) {
    return new Tensor(torch.cat(vector(parts), dim));
  }

  public static Tensor stack(List<Tensor> parts, long dim) {
    return new Tensor(torch.stack(vector(parts), dim));
  }

  static TensorVector vector(List<Tensor> tensors) {
    TensorVector v = new TensorVector();
    for (Tensor t : tensors) {
      v.push_back(t.at);
    }
    return v;
  }

  /** Each element of dimension {@code dim} repeated {@code times} times in place. */
  public Tensor repeatInterleave(long times, long dim) {
    return new Tensor(at.repeat_interleave(times, new LongOptional(dim), new LongOptional()));
  }

  /** The slices along {@code dim}, without it, as views; goes back as one stack. */
  public List<Tensor> unbind(long dim) {
    return list(at.unbind(dim));
  }

  /** Pieces of the given lengths along {@code dim}, as views; goes back as one concatenation. */
  public List<Tensor> split(long[] lengths, long dim) {
    return list(at.split_with_sizes(lengths, dim));
  }

  private static List<Tensor> list(TensorVector tensors) {
    Tensor[] all = new Tensor[(int) tensors.size()];
    Arrays.setAll(all, i -> new Tensor(tensors.get(i)));
    return List.of(all);
  }

  // ---- indexing ----

  public Tensor indexSelect(long dim, Tensor index) {
    return new Tensor(at.index_select(dim, index.at));
  }

  public Tensor gather(long dim, Tensor index) {
    return new Tensor(at.gather(dim, index.at));
  }

  public Tensor scatter(long dim, Tensor index, Tensor source) {
    return new Tensor(at.scatter(dim, index.at, source.at));
  }

  public Tensor scatterAdd(long dim, Tensor index, Tensor source) {
    return new Tensor(at.scatter_add(dim, index.at, source.at));
  }

  public Tensor indexAdd(long dim, Tensor index, Tensor source) {
    return new Tensor(at.index_add(dim, index.at, source.at));
  }

  public Tensor indexCopyInPlace(long dim, Tensor index, Tensor source) {
    at.index_copy_(dim, index.at, source.at);
    return this;
  }

  public Tensor maskedFill(Tensor mask, double value) {
    return new Tensor(at.masked_fill(mask.at, new Scalar(value)));
  }

  /** Elements of {@code this} where {@code mask} is true, in row-major order. */
  public Tensor maskedSelect(Tensor mask) {
    return new Tensor(at.masked_select(mask.at));
  }

  /** {@code mask ? a : b}, elementwise with broadcasting. */
  public static Tensor where(Tensor mask, Tensor a, Tensor b) {
    return new Tensor(torch.where(mask.at, a.at, b.at));
  }

  /** Indices of the true or non-zero elements, [count, dims]. */
  public Tensor nonzero() {
    return new Tensor(at.nonzero());
  }

  // ---- arithmetic (with broadcasting) ----

  public Tensor add(Tensor other) {
    return new Tensor(at.add(other.at));
  }

  public Tensor add(double value) {
    return new Tensor(at.add(new Scalar(value)));
  }

  public Tensor sub(Tensor other) {
    return new Tensor(at.sub(other.at));
  }

  public Tensor sub(double value) {
    return new Tensor(at.sub(new Scalar(value)));
  }

  public Tensor mul(Tensor other) {
    return new Tensor(at.mul(other.at));
  }

  public Tensor mul(double value) {
    return new Tensor(at.mul(new Scalar(value)));
  }

  public Tensor div(Tensor other) {
    return new Tensor(at.div(other.at));
  }

  public Tensor div(double value) {
    return new Tensor(at.div(new Scalar(value)));
  }

  public Tensor neg() {
    return new Tensor(at.neg());
  }

  public Tensor pow(double exponent) {
    return new Tensor(at.pow(new Scalar(exponent)));
  }

  public Tensor addInPlace(Tensor other) {
    at.add_(other.at);
    return this;
  }

  /** {@code this += factor * other}. */
  public Tensor addInPlace(Tensor other, double factor) {
    at.add_(other.at, new Scalar(factor));
    return this;
  }

  public Tensor addInPlace(double value) {
    at.add_(new Scalar(value));
    return this;
  }

  public Tensor mulInPlace(Tensor other) {
    at.mul_(other.at);
    return this;
  }

  public Tensor mulInPlace(double value) {
    at.mul_(new Scalar(value));
    return this;
  }

  /** Writes {@code a * b} into this tensor. */
  public Tensor mulInto(Tensor a, Tensor b) {
    torch.mul_out(at, a.at, b.at);
    return this;
  }

  public Tensor expInPlace() {
    at.exp_();
    return this;
  }

  public Tensor fillInPlace(double value) {
    at.fill_(new Scalar(value));
    return this;
  }

  /** Whole division of integers, towards minus infinity. */
  public Tensor floorDiv(long divisor) {
    return new Tensor(at.floor_divide(new Scalar(divisor)));
  }

  public Tensor remainder(long divisor) {
    return new Tensor(at.remainder(new Scalar(divisor)));
  }

  // ---- elementwise functions ----

  public Tensor exp() {
    return new Tensor(at.exp());
  }

  public Tensor log() {
    return new Tensor(at.log());
  }

  public Tensor sqrt() {
    return new Tensor(at.sqrt());
  }

  public Tensor rsqrt() {
    return new Tensor(at.rsqrt());
  }

  public Tensor square() {
    return new Tensor(at.square());
  }

  public Tensor abs() {
    return new Tensor(at.abs());
  }

  public Tensor tanh() {
    return new Tensor(at.tanh());
  }

  public Tensor sigmoid() {
    return new Tensor(at.sigmoid());
  }

  public Tensor erf() {
    return new Tensor(at.erf());
  }

  public Tensor sin() {
    return new Tensor(at.sin());
  }

  public Tensor cos() {
    return new Tensor(at.cos());
  }

  public Tensor clampMin(double low) {
    return new Tensor(at.clamp(new ScalarOptional(new Scalar(low))));
  }

  public Tensor clamp(double low, double high) {
    return new Tensor(
        at.clamp(new ScalarOptional(new Scalar(low)), new ScalarOptional(new Scalar(high))));
  }

  // ---- comparison: BOOL tensors ----

  public Tensor eq(Tensor other) {
    return new Tensor(at.eq(other.at));
  }

  public Tensor eq(double value) {
    return new Tensor(at.eq(new Scalar(value)));
  }

  public Tensor lt(Tensor other) {
    return new Tensor(at.lt(other.at));
  }

  public Tensor lt(double value) {
    return new Tensor(at.lt(new Scalar(value)));
  }

  public Tensor gt(Tensor other) {
    return new Tensor(at.gt(other.at));
  }

  public Tensor gt(double value) {
    return new Tensor(at.gt(new Scalar(value)));
  }

  public Tensor ge(Tensor other) {
    return new Tensor(at.ge(other.at));
  }

  public Tensor ge(double value) {
    return new Tensor(at.ge(new Scalar(value)));
  }

  public Tensor and(Tensor other) {
    return new Tensor(at.logical_and(other.at));
  }

  public Tensor or(Tensor other) {
    return new Tensor(at.logical_or(other.at));
  }

  public Tensor not() {
    return new Tensor(at.logical_not());
  }

  /** True if every element is finite: neither NaN nor infinite. */
  public boolean allFinite() {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      // A sum is finite if all elements are (and not too large to add up, then it says so falsely).
      double sum = at.sum(new ScalarTypeOptional(torch.ScalarType.Double)).item().toDouble();
      return Double.isFinite(sum);
    }
  }

  // ---- reductions ----

  public Tensor sum() {
    return new Tensor(at.sum());
  }

  public Tensor sum(long dim, boolean keep) {
    return new Tensor(at.sum(new long[] {dim}, keep, new ScalarTypeOptional()));
  }

  public Tensor mean() {
    return new Tensor(at.mean());
  }

  public Tensor mean(long dim, boolean keep) {
    return new Tensor(at.mean(new long[] {dim}, keep, new ScalarTypeOptional()));
  }

  public Tensor max() {
    return new Tensor(at.max());
  }

  public Tensor max(long dim, boolean keep) {
    return new Tensor(at.amax(new long[] {dim}, keep));
  }

  /** Index of the largest element along {@code dim}; the lowest one among equals on the CPU. */
  public Tensor argmax(long dim, boolean keep) {
    return new Tensor(at.argmax(new LongOptional(dim), keep));
  }

  public Tensor logsumexp(long dim, boolean keep) {
    return new Tensor(at.logsumexp(new long[] {dim}, keep));
  }

  public Tensor cumsum(long dim) {
    return new Tensor(at.cumsum(dim));
  }

  public Tensor softmax(long dim) {
    return new Tensor(at.softmax(dim));
  }

  public Tensor logSoftmax(long dim) {
    return new Tensor(at.log_softmax(dim));
  }

  /** Largest values along a dimension, in descending order, with their indices. */
  public record TopK(Tensor values, Tensor indices) {}

  /** The {@code k} largest along {@code dim}. The order of equal values is libtorch's choice. */
  public TopK topk(long k, long dim) {
    return pair(at.topk(k, dim, true, true));
  }

  /** All elements along {@code dim} sorted; equal ones keep their order. */
  public TopK sort(long dim, boolean descending) {
    return pair(at.sort(new org.bytedeco.pytorch.BoolOptional(true), dim, descending));
  }

  private static TopK pair(T_TensorTensor_T pair) {
    return new TopK(new Tensor(pair.get0()), new Tensor(pair.get1()));
  }

  /** How often each of the integers {@code 0 .. n-1} occurs: [n], I64. */
  public Tensor bincount(long n) {
    return new Tensor(at.bincount(new org.bytedeco.pytorch.TensorOptional(), n));
  }

  // ---- products ----

  public Tensor matmul(Tensor other) {
    return new Tensor(at.matmul(other.at));
  }

  public Tensor mm(Tensor other) {
    return new Tensor(at.mm(other.at));
  }

  public Tensor bmm(Tensor other) {
    return new Tensor(at.bmm(other.at));
  }

  /** {@code this = beta * this + a b}. */
  public Tensor addmmInPlace(Tensor a, Tensor b, double beta) {
    at.addmm_(a.at, b.at, new Scalar(beta), new Scalar(1.0));
    return this;
  }

  /** Writes {@code a b} into this matrix. */
  public Tensor mmInto(Tensor a, Tensor b) {
    torch.mm_out(at, a.at, b.at);
    return this;
  }

  /** Writes the product of a matrix and a vector into this vector. */
  public Tensor mvInto(Tensor matrix, Tensor vector) {
    torch.mv_out(at, matrix.at, vector.at);
    return this;
  }

  /** Einstein summation, for instance {@code einsum("gsec,gsm->egcm", mask, x)}. */
  public static Tensor einsum(String formula, Tensor... operands) {
    return new Tensor(torch.einsum(formula, vector(List.of(operands))));
  }

  // ---- randomness, always from a source ----

  Tensor uniformInPlace(double low, double high, GeneratorOptional generator) {
    at.uniform_(low, high, generator);
    return this;
  }

  Tensor normalInPlace(double mean, double std, GeneratorOptional generator) {
    at.normal_(mean, std, generator);
    return this;
  }
}
