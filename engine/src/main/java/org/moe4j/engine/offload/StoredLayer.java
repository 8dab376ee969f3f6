package org.moe4j.engine.offload;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.model.Expert;
import org.moe4j.engine.model.ExpertTensors;

/**
 * The experts of a layer on disk, and how one is laid out when packed: gate, up and down one behind
 * the other.
 *
 * @param parts of an expert
 * @param bytes of memory of a packed expert
 * @param ends of its packed matrices
 */
record StoredLayer(ExpertTensors tensors, List<Part> parts, long bytes, List<Long> ends) {
  /** Panels are read together up to this many bytes. */
  static final int MOST = 2 << 20;

  private static final long ALIGNMENT = 64;

  static StoredLayer of(ExpertTensors tensors, GgufFile file, Sources sources, Packing packing) {
    List<Part> parts = new ArrayList<>();
    List<Long> ends = new ArrayList<>();
    long at = 0;
    for (GgufTensor tensor : List.of(tensors.gate(), tensors.up(), tensors.down())) {
      int rows = rows(tensor, tensors.count());
      GgufFile.Place place = file.place(tensor);
      int together = together(tensor);
      for (int row = 0; row < rows; row += together) {
        int some = Math.min(together, rows - row);
        parts.add(
            new Part(
                tensor.name(),
                place.file(),
                sources.open(place.file()),
                place.offset() + row * tensor.rowBytes(),
                rows * tensor.rowBytes(),
                tensor.type(),
                some,
                tensor.columns(),
                at + packing.bytes(tensor.type(), row, tensor.columns()),
                packing.bytes(tensor.type(), some, tensor.columns())));
      }
      at += packing.bytes(tensor.type(), rows, tensor.columns());
      at = Math.ceilDiv(at, ALIGNMENT) * ALIGNMENT;
      ends.add(at);
    }
    return new StoredLayer(tensors, parts, at, ends);
  }

  private static int rows(GgufTensor tensor, int stacked) {
    return Math.toIntExact(tensor.rows() / stacked);
  }

  private static int together(GgufTensor tensor) {
    long panel = Matrix.PANEL * tensor.rowBytes();
    return Math.toIntExact(Math.max(1, MOST / panel)) * Matrix.PANEL;
  }

  /** Expert {@code e}, which lies in {@code slot}. */
  Expert expert(int e, MemorySegment slot, Packing packing) {
    List<GgufTensor> all = List.of(tensors.gate(), tensors.up(), tensors.down());
    Matrix[] matrices = new Matrix[all.size()];
    long at = 0;
    for (int i = 0; i < matrices.length; i++) {
      GgufTensor t = all.get(i);
      MemorySegment packed = slot.asSlice(at, ends.get(i) - at);
      matrices[i] = packing.matrix(t.type(), rows(t, tensors.count()), t.columns(), packed);
      at = ends.get(i);
    }
    return new Expert(matrices[0], matrices[1], matrices[2], tensors.biases(e));
  }
}
