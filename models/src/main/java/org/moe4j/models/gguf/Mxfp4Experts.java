package org.moe4j.models.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufWriter;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.StoredTensors;

/**
 * The MXFP4 experts of gpt-oss checkpoints as they are: a block of 32 numbers is one scale and 16
 * bytes of two codes, of neighbours in the checkpoint, of i and i + 16 here. Rows of gate and up
 * projection alternate in the checkpoint.
 */
final class Mxfp4Experts {
  private static final int CODES = 16;

  private Mxfp4Experts() {}

  /** One layer's tensors, if the checkpoint has their codes. */
  static List<GgufWriter.Item> of(StoredTensors in, int layer) {
    String from = "model.layers." + layer + ".mlp.experts.";
    String to = "blk." + layer + ".ffn_";
    List<GgufWriter.Item> items = new ArrayList<>();
    open(in, from + "gate_up_proj")
        .ifPresent(
            both -> {
              items.add(both.item(to + "gate_exps.weight", 0, 2));
              items.add(both.item(to + "up_exps.weight", 1, 2));
            });
    open(in, from + "down_proj").ifPresent(d -> items.add(d.item(to + "down_exps.weight", 0, 1)));
    return items;
  }

  /** Codes [E,R,n,16] and scales [E,R,n] of a stack of matrices. */
  private record Stack(MemorySegment codes, MemorySegment scales, List<Long> shape) {
    /** Every {@code step}th row from {@code first} on. */
    GgufWriter.Item item(String name, int first, int step) {
      int blocks = Math.toIntExact(shape.get(2));
      long[] sizes = {32L * blocks, shape.get(1) / step, shape.get(0)};
      return new GgufWriter.Item(
          name,
          GgmlType.MXFP4,
          sizes,
          new GgufWriter.Content.Blocks((row, into) -> repack(first + row * step, blocks, into)));
    }

    private void repack(long row, int blocks, byte[] into) {
      for (int b = 0; b < blocks; b++) {
        long block = row * blocks + b;
        int at = b * (CODES + 1);
        into[at] = scales.get(ValueLayout.JAVA_BYTE, block);
        for (int i = 0; i < CODES; i++) {
          int low = code(block, i);
          int high = code(block, i + CODES);
          into[at + 1 + i] = (byte) (low | (high << 4));
        }
      }
    }

    private int code(long block, int i) {
      int pair = codes.get(ValueLayout.JAVA_BYTE, block * CODES + i / 2);
      return (i % 2 == 0 ? pair : pair >> 4) & 15;
    }
  }

  private static Optional<Stack> open(StoredTensors in, String name) {
    if (!in.names().contains(name + "_blocks") || !in.names().contains(name + "_scales")) {
      return Optional.empty();
    }
    StoredTensor codes = in.describe(name + "_blocks");
    if (codes.dtype() != DType.U8 || codes.shape().size() != 4) {
      return Optional.empty();
    }
    return Optional.of(
        new Stack(in.segment(name + "_blocks"), in.segment(name + "_scales"), codes.shape()));
  }
}
