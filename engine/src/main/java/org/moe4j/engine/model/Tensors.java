package org.moe4j.engine.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.kernel.Packing;

/** Tensors of a file, whose shapes are checked against what the metadata makes of them. */
record Tensors(GgufFile file, Packing packing) {
  private static final String WEIGHT = ".weight";

  boolean has(String name) {
    return file.find(name).isPresent();
  }

  /** A matrix; {@code name} is without its ending. */
  Matrix matrix(String name, int columns, int rows) {
    return packing.packLater(checked(name + WEIGHT, columns, rows, 1), 0, rows);
  }

  /** Matrices that are stacked in one tensor. */
  List<Matrix> matrices(String name, int columns, int rows, int count) {
    GgufTensor tensor = checked(name + WEIGHT, columns, rows, count);
    Matrix[] all = new Matrix[count];
    for (int i = 0; i < count; i++) {
      all[i] = packing.pack(tensor, i, rows);
    }
    return List.of(all);
  }

  /** A matrix and the bias that goes with it, if the file has one. */
  Affine affine(String name, int columns, int rows) {
    return new Affine(matrix(name, columns, rows), numbers(name + ".bias", rows));
  }

  /** Matrices of so many rows that lie one after the other in one tensor, with their biases. */
  List<Affine> stacked(String name, int columns, int... rows) {
    int all = Arrays.stream(rows).sum();
    GgufTensor tensor = checked(name + WEIGHT, columns, all, 1);
    float[] bias = numbers(name + ".bias", all);
    List<Affine> parts = new ArrayList<>();
    int from = 0;
    for (int count : rows) {
      float[] part = bias.length == 0 ? bias : Arrays.copyOfRange(bias, from, from + count);
      parts.add(new Affine(packing.packRows(tensor, from, count), part));
      from += count;
    }
    return parts;
  }

  /** A norm. */
  Norm norm(String name, int size) {
    return new Norm(checked(name + WEIGHT, size, 1, 1).floats(), numbers(name + ".bias", size));
  }

  /** A norm of each {@code part} or of all {@code size} numbers, or none. */
  Norm norm(String name, int part, int size) {
    return file.find(name + WEIGHT)
        .map(t -> norm(name, t.columns() == part ? part : size))
        .orElse(Norm.NONE);
  }

  /** A vector, empty if the file has none of this name. */
  float[] numbers(String name, int size) {
    return numbers(name, size, 1);
  }

  /** As many vectors, one after the other. */
  float[] numbers(String name, int size, int count) {
    return has(name) ? checked(name, size, count, 1).floats() : new float[0];
  }

  GgufTensor checked(String name, int columns, int rows, int stacked) {
    GgufTensor t = file.tensor(name);
    long[] shape = Arrays.copyOf(t.shape(), 3);
    boolean fits =
        shape[0] == columns
            && Math.max(1, shape[1]) == rows
            && Math.max(1, shape[2]) == stacked
            && t.rows() == (long) rows * stacked;
    if (!fits) {
      throw new EngineException(
          file.path()
              + ": tensor "
              + t
              + " should be ["
              + columns
              + ","
              + rows
              + (stacked > 1 ? "," + stacked : "")
              + "] by the metadata");
    }
    return t;
  }
}
