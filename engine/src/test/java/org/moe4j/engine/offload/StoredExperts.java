package org.moe4j.engine.offload;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufWriter;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.model.Expert;
import org.moe4j.engine.model.Expert.Biases;
import org.moe4j.engine.model.ExpertTensors;

/** A file of nothing but experts: layers 1, 2 and 4 route, the last in another type. */
final class StoredExperts implements AutoCloseable {
  static final int COUNT = 16;
  static final int WIDTH = 64;
  static final int HIDDEN = 96;
  static final List<Integer> LAYERS = List.of(1, 2, 4);

  final Arena arena = Arena.ofShared();
  final Packing packing = new Packing(arena, false);
  final GgufFile file;
  final SortedMap<Integer, ExpertTensors> layers = new TreeMap<>();
  private final Map<Integer, List<float[]>> marks = new TreeMap<>();

  StoredExperts(Path path) {
    List<GgufWriter.Item> items = new ArrayList<>();
    for (int layer : LAYERS) {
      GgmlType type = layer == 4 ? GgmlType.Q8_0 : GgmlType.Q4_0;
      items.add(item("gate", layer, type, WIDTH, HIDDEN));
      items.add(item("up", layer, type, WIDTH, HIDDEN));
      items.add(item("down", layer, type, HIDDEN, WIDTH));
    }
    GgufWriter.write(path, Map.of(), items, bytes -> {});
    file = GgufFile.open(path);
    for (int layer : LAYERS) {
      ExpertTensors tensors =
          new ExpertTensors(
              COUNT,
              WIDTH,
              HIDDEN,
              file.tensor("gate." + layer),
              file.tensor("up." + layer),
              file.tensor("down." + layer),
              Biases.NONE);
      layers.put(layer, tensors);
      List<float[]> all = new ArrayList<>();
      for (int e = 0; e < COUNT; e++) {
        all.add(mark(tensors.pack(e, packing)));
      }
      marks.put(layer, all);
    }
  }

  private static GgufWriter.Item item(
      String name, int layer, GgmlType type, int columns, int rows) {
    return new GgufWriter.Item(
        name + "." + layer,
        type,
        new long[] {columns, rows, COUNT},
        (row, into) -> {
          SplittableRandom random = new SplittableRandom(row * 31 + layer);
          for (int i = 0; i < into.length; i++) {
            into[i] = (float) random.nextDouble(-1, 1);
          }
        });
  }

  /** Products of all matrices with one row. */
  static float[] mark(Expert expert) {
    float[] all = new float[3 * 2 * Matrix.PANEL];
    int at = 0;
    for (Matrix m : List.of(expert.gate(), expert.up(), expert.down())) {
      Activations x = new Activations(m.columns());
      x.reserve(1);
      for (int i = 0; i < m.columns(); i++) {
        x.values()[i] = (float) Math.sin(i);
      }
      x.quantise(0);
      float[] out = new float[Matrix.PANEL];
      for (int p = 0; p < m.panels(); p++) {
        m.multiply(p, x, new int[1], 0, 1, out);
        int rows = Math.min(Matrix.PANEL, m.rows() - p * Matrix.PANEL);
        System.arraycopy(out, 0, all, at, rows);
        at += rows;
      }
    }
    return all;
  }

  /** What {@link #mark} says of this expert when it is packed from the mapped file. */
  float[] mark(int layer, int expert) {
    return marks.get(layer).get(expert);
  }

  /** Bytes on disk of an expert. */
  static long bytes(int layer) {
    return (layer == 4 ? GgmlType.Q8_0 : GgmlType.Q4_0).bytes(3 * WIDTH * HIDDEN);
  }

  /** The same number of slots for each layer. */
  static CacheSizes sizes(int slots, int spares, int ahead, int readers) {
    SortedMap<Integer, Integer> all = new TreeMap<>();
    LAYERS.forEach(layer -> all.put(layer, slots));
    return new CacheSizes(all, spares, ahead, readers, false);
  }

  ExpertStore store(CacheSizes sizes, Disk disk) {
    return new ExpertStore(file, layers, sizes, packing, arena, disk);
  }

  @Override
  public void close() {
    file.close();
    arena.close();
  }
}
