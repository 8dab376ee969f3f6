package org.moe4j.models.gguf;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.moe4j.engine.gguf.GgmlType;

/**
 * The type of each tensor of a file: vectors, biases and routers stay F32, matrices get the type
 * that was asked for, where its blocks divide their rows. Beside 4-bit weights the output
 * projection gets 6 bits, as llama.cpp has it too.
 */
final class StorageTypes {
  private final GgmlType asked;
  private final String output;
  private final Map<String, Integer> wider = new TreeMap<>();

  /**
   * Types for a file.
   *
   * @param output the name of the tensor that makes logits
   */
  StorageTypes(GgmlType asked, String output) {
    this.asked = asked;
    this.output = output;
  }

  /** The number that {@code general.file_type} has for a file mostly of this type. */
  static int fileType(GgmlType type) {
    return switch (type) {
      case F32 -> 0;
      case F16 -> 1;
      case Q4_0 -> 2;
      case Q8_0 -> 7;
      case Q4_K -> 14;
      case Q6_K -> 18;
      case BF16 -> 32;
      default -> throw new IllegalArgumentException(type.label() + " is not written");
    };
  }

  /** The type of a tensor whose shape has the fastest-running dimension first. */
  GgmlType of(String name, long[] shape) {
    boolean exact =
        shape.length < 2 || name.endsWith(".bias") || name.endsWith("ffn_gate_inp.weight");
    if (exact) {
      return GgmlType.F32;
    }
    boolean head = name.equals(output) && (asked == GgmlType.Q4_0 || asked == GgmlType.Q4_K);
    GgmlType wanted = head ? GgmlType.Q6_K : asked;
    GgmlType fitting = fitting(wanted, shape[0]);
    if (fitting != wanted) {
      String why =
          "rows of "
              + shape[0]
              + " numbers are no whole "
              + wanted.label()
              + " blocks of "
              + wanted.block()
              + ": "
              + fitting.label();
      wider.merge(why, 1, Integer::sum);
    }
    return fitting;
  }

  private static GgmlType fitting(GgmlType wanted, long columns) {
    if (columns % wanted.block() == 0) {
      return wanted;
    }
    boolean bytes = wanted.block() > GgmlType.Q8_0.block();
    return bytes && columns % GgmlType.Q8_0.block() == 0 ? GgmlType.Q8_0 : GgmlType.F16;
  }

  /** Which tensors got a wider type, for people. */
  List<String> remarks() {
    List<String> lines = new ArrayList<>();
    wider.forEach((why, n) -> lines.add(n + (n == 1 ? " tensor: " : " tensors: ") + why));
    return lines;
  }
}
