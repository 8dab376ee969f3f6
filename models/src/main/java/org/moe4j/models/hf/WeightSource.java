package org.moe4j.models.hf;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.moe4j.tensor.BlockScaled;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Fp8Blocks;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Mxfp4Blocks;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.StoredTensors;
import org.moe4j.tensor.Tensor;

/** Where the elements of one tensor of a {@link WeightMap} come from. */
sealed interface WeightSource {
  /** The sizes that the map has to expect. */
  List<Long> shape();

  /** The tensors of the file that it reads, with their types. */
  List<StoredTensor> stored();

  /** Reads the elements from {@code from} on into the target, both in row-major order. */
  void read(long from, Tensor target);

  /** Bytes in the file. */
  default long bytes() {
    return stored().stream().mapToLong(StoredTensor::bytes).sum();
  }

  /** What people call the type of the file's elements. */
  String label();

  /** The type the elements are computed in: that of the file if they are stored as they are. */
  DType dtype();

  /**
   * Whether a run of {@code count} elements can be read by itself, wherever it begins among runs of
   * that length.
   */
  boolean divides(long count);

  /** What a file has for {@code name}: the tensor itself, or codes and scales that stand for it. */
  static boolean has(StoredTensors in, String name) {
    return in.names().contains(name) || in.names().contains(name + Mxfp4Blocks.BLOCKS);
  }

  /**
   * Finds it.
   *
   * @throws MoeException if codes and scales do not fit together
   */
  static WeightSource open(StoredTensors in, String name, Quantisation quantisation) {
    if (in instanceof Safetensors file) {
      if (!in.names().contains(name)) {
        return new Transposed(Mxfp4Blocks.open(file, name), describe(in, name));
      }
      if (in.names().contains(name + Fp8Blocks.SCALES)) {
        Fp8Blocks weight =
            Fp8Blocks.open(file, name, quantisation.blockRows(), quantisation.blockColumns());
        return new Scaled(weight, weight.storedNames().stream().map(in::describe).toList());
      }
    }
    return new Plain(in, in.describe(name));
  }

  private static List<StoredTensor> describe(StoredTensors in, String name) {
    return List.of(in.describe(name + Mxfp4Blocks.BLOCKS), in.describe(name + Mxfp4Blocks.SCALES));
  }

  /** Elements that are stored as they are. */
  record Plain(StoredTensors in, StoredTensor tensor) implements WeightSource {
    @Override
    public List<Long> shape() {
      return tensor.shape();
    }

    @Override
    public List<StoredTensor> stored() {
      return List.of(tensor);
    }

    @Override
    public void read(long from, Tensor target) {
      in.loadInto(tensor.name(), from, target);
    }

    @Override
    public String label() {
      return tensor.dtype().label();
    }

    @Override
    public DType dtype() {
      return tensor.dtype();
    }

    @Override
    public boolean divides(long count) {
      return in.isContiguous(tensor.name());
    }
  }

  /** FP8 codes with a scale for every block, in the weight's own order. */
  record Scaled(BlockScaled weight, List<StoredTensor> stored) implements WeightSource {
    @Override
    public List<Long> shape() {
      return LongStream.of(weight.shape()).boxed().toList();
    }

    @Override
    public void read(long from, Tensor target) {
      weight.loadRows(from / shape().getLast(), target);
    }

    @Override
    public String label() {
      return DType.F8_E4M3.label();
    }

    @Override
    public DType dtype() {
      return DType.F32;
    }

    @Override
    public boolean divides(long count) {
      return count % shape().getLast() == 0;
    }
  }

  /**
   * MXFP4 as the released gpt-oss checkpoints have it: every matrix of the stack is the transpose
   * of what the unquantised layout has under the same name.
   */
  record Transposed(BlockScaled weight, List<StoredTensor> stored) implements WeightSource {
    private long rows() {
      return weight.shape()[weight.shape().length - 2];
    }

    private long columns() {
      return weight.shape()[weight.shape().length - 1];
    }

    @Override
    public List<Long> shape() {
      long[] shape = weight.shape();
      shape[shape.length - 2] = columns();
      shape[shape.length - 1] = rows();
      return LongStream.of(shape).boxed().toList();
    }

    @Override
    public void read(long from, Tensor target) {
      weight.loadRows(from / columns(), turned(target));
    }

    /** The target's elements in the order of the codes: its matrices' transposes. */
    private Tensor turned(Tensor target) {
      long[] sizes = target.shape();
      int last = sizes.length;
      int first = last;
      for (long right = 1; first > 0 && right < rows(); ) {
        right *= sizes[--first];
      }
      int start = first;
      for (long left = 1; start > 0 && left < columns(); ) {
        left *= sizes[--start];
      }
      int split = first;
      int batch = start;
      long right = Arrays.stream(sizes, split, last).reduce(1, (a, b) -> a * b);
      long left = Arrays.stream(sizes, batch, split).reduce(1, (a, b) -> a * b);
      if (right != rows() || left != columns()) {
        throw new IllegalStateException(
            target + " keeps no " + columns() + " x " + rows() + " apart for " + stored);
      }
      return target.permute(
          IntStream.concat(
                  IntStream.range(0, batch),
                  IntStream.concat(IntStream.range(split, last), IntStream.range(batch, split)))
              .asLongStream()
              .toArray());
    }

    @Override
    public String label() {
      return "MXFP4";
    }

    @Override
    public DType dtype() {
      return DType.F32;
    }

    @Override
    public boolean divides(long count) {
      return count % (rows() * columns()) == 0;
    }
  }
}
