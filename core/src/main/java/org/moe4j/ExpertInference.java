package org.moe4j;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Products;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * Feed-forward experts over ragged rows on the CPU when no gradient follows. Few rows an expert, as
 * in decoding, take as long as reading the weights of the experts they touch: nothing else is read,
 * and the workers share even a single expert. Many rows go through an expert in blocks.
 */
final class ExpertInference {
  /** Up to so many rows an expert, on average, its weights are what takes time. */
  private static final int FEW = 8;

  /** Rows of a block: enough for the products' speed, few enough for a core's cache. */
  private static final int BLOCK = 256;

  /** Fewer rows of a matrix are no work to share. */
  private static final long BAND = 128;

  private final FeedForwardExperts experts;
  private final DType type;
  private final int[] touched;
  private final int[] starts;

  private ExpertInference(FeedForwardExperts experts, DType type, long[] counts) {
    this.experts = experts;
    this.type = type;
    this.touched = IntStream.range(0, counts.length).filter(e -> counts[e] > 0).toArray();
    this.starts = new int[touched.length + 1];
    for (int i = 0; i < touched.length; i++) {
      starts[i + 1] = starts[i] + Math.toIntExact(counts[touched[i]]);
    }
  }

  /** True if nothing is recorded, this is no training and {@code x} is on the CPU. */
  static boolean serves(Tensor x, TokenContext context) {
    return !NoGrad.recording() && !context.training() && x.device() == Device.CPU;
  }

  /** True if the rows of {@code counts} are few for the experts they touch. */
  static boolean fewRows(long[] counts) {
    long touched = Arrays.stream(counts).filter(n -> n > 0).count();
    return Arrays.stream(counts).sum() <= FEW * touched;
  }

  /** The experts' outputs in the order of their rows, of which there are some. */
  static Tensor forward(FeedForwardExperts experts, Tensor rows, long[] counts) {
    ExpertInference run = new ExpertInference(experts, rows.dtype(), counts);
    return fewRows(counts) ? run.together(rows) : run.blocks(rows);
  }

  /** The product of one expert's few rows with its matrix [o,n] of any type. */
  static Tensor product(Tensor rows, Tensor w) {
    DType type = rows.dtype();
    Tensor out = Tensor.empty(type, Device.CPU, rows.size(0), w.size(0));
    Workers.rows(
        w.size(0),
        band(w.size(0), 1),
        (top, count) ->
            Products.fewRows(out.narrow(1, top, count), rows, w.narrow(0, top, count).to(type)));
    return out;
  }

  /** Rows of a matrix of {@code height} for a worker, when {@code matrices} are multiplied. */
  private static long band(long height, int matrices) {
    // Two shares a worker, so that one who comes late takes the smaller part.
    long shares = (2L * Ops.threads() + matrices - 1) / matrices;
    return Math.max(BAND, (height + shares - 1) / shares);
  }

  /** All up projections, then all down projections. */
  private Tensor together(Tensor rows) {
    Tensor hidden = products(rows, experts.in());
    experts.inBias().ifPresent(b -> hidden.addInPlace(ofRows(b)));
    Tensor outputs = products(experts.form().hidden(hidden), experts.out());
    experts.outBias().ifPresent(b -> outputs.addInPlace(ofRows(b)));
    return outputs;
  }

  private Tensor products(Tensor rows, Parameter stacked) {
    Tensor w = stacked.tensor().detach();
    long height = w.size(1);
    Tensor out = Tensor.empty(type, Device.CPU, rows.size(0), height);
    long band = band(height, touched.length);
    int bands = Math.toIntExact((height + band - 1) / band);
    Workers.run(
        touched.length * bands,
        task -> {
          int i = task / bands;
          long top = task % bands * band;
          long count = Math.min(band, height - top);
          long n = (long) starts[i + 1] - starts[i];
          Products.fewRows(
              out.narrow(0, starts[i], n).narrow(1, top, count),
              rows.narrow(0, starts[i], n),
              w.select(0, touched[i]).narrow(0, top, count).to(type));
        });
    return out;
  }

  /** Each row's own bias. */
  private Tensor ofRows(Parameter stacked) {
    long[] owner = new long[starts[touched.length]];
    for (int i = 0; i < touched.length; i++) {
      Arrays.fill(owner, starts[i], starts[i + 1], touched[i]);
    }
    return stacked.tensor().detach().indexSelect(0, Tensor.of(owner)).to(type);
  }

  /** Blocks of rows one by one from input to output. */
  private Tensor blocks(Tensor rows) {
    Tensor outputs = Tensor.empty(type, Device.CPU, rows.size(0), experts.out().tensor().size(1));
    int[] index =
        IntStream.range(0, touched.length)
            .flatMap(i -> IntStream.generate(() -> i).limit(blocksOf(i)))
            .toArray();
    int[] first = new int[touched.length];
    for (int task = index.length - 1; task >= 0; task--) {
      first[index[task]] = task;
    }
    Workers.run(
        index.length,
        task -> {
          int i = index[task];
          long start = starts[i] + (long) (task - first[i]) * BLOCK;
          long n = Math.min(BLOCK, starts[i + 1] - start);
          outputs.narrow(0, start, n).copyInPlace(block(rows.narrow(0, start, n), touched[i]));
        });
    return outputs;
  }

  private int blocksOf(int i) {
    return (starts[i + 1] - starts[i] + BLOCK - 1) / BLOCK;
  }

  private Tensor block(Tensor rows, int e) {
    Tensor hidden = Ops.linear(rows, own(experts.in(), e), bias(experts.inBias(), e));
    return Ops.linear(
        experts.form().hidden(hidden), own(experts.out(), e), bias(experts.outBias(), e));
  }

  /** Expert e's part in the type of the rows. */
  private Tensor own(Parameter stacked, int e) {
    return stacked.tensor().detach().select(0, e).to(type);
  }

  private @Nullable Tensor bias(Optional<Parameter> stacked, int e) {
    return stacked.map(b -> own(b, e)).orElse(null);
  }
}
