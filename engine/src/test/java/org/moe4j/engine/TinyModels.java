package org.moe4j.engine;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.gguf.GgufWriter;

/** The small models of the tests, as they are or changed. */
public final class TinyModels {
  private TinyModels() {}

  /** A model of the resources by its name. */
  public static Path path(String name) throws URISyntaxException {
    return Path.of(TinyModels.class.getResource("/models/" + name + ".gguf").toURI());
  }

  /** A copy of a model with other metadata, and other numbers where {@code rows} changes a row. */
  static Path changed(String name, Path to, Consumer<Map<String, Object>> metadata, Rows rows)
      throws URISyntaxException {
    try (GgufFile file = GgufFile.open(path(name))) {
      Map<String, Object> values = new LinkedHashMap<>(file.metadata().values());
      metadata.accept(values);
      List<GgufWriter.Item> items = file.tensors().stream().map(t -> item(t, rows)).toList();
      GgufWriter.write(to, values, items, done -> {});
      return to;
    }
  }

  /** The same with a context of so many tokens. */
  public static Path longer(String name, Path to, long context) throws URISyntaxException {
    return changed(
        name,
        to,
        m -> m.replaceAll((key, value) -> key.endsWith(".context_length") ? context : value),
        (tensor, row, values) -> {});
  }

  /** A copy of a model in which a row of a tensor is {@code pattern} over and over. */
  static Path overwritten(String name, Path to, String tensor, long row, byte[] pattern)
      throws IOException, URISyntaxException {
    byte[] all = Files.readAllBytes(path(name));
    byte[] old;
    try (GgufFile file = GgufFile.open(path(name))) {
      GgufTensor t = file.tensor(tensor);
      old = t.data().asSlice(row * t.rowBytes(), t.rowBytes()).toArray(ValueLayout.JAVA_BYTE);
    }
    int at = 0;
    while (!Arrays.equals(all, at, at + old.length, old, 0, old.length)) {
      at++;
    }
    for (int i = 0; i < old.length; i++) {
      all[at + i] = pattern[i % pattern.length];
    }
    return Files.write(to, all);
  }

  /** Changes a row of a tensor. */
  interface Rows {
    void change(String tensor, long row, float[] values);
  }

  private static GgufWriter.Item item(GgufTensor t, Rows rows) {
    float[] all = t.floats();
    int columns = t.columns();
    return new GgufWriter.Item(
        t.name(),
        t.type(),
        t.shape(),
        (row, into) -> {
          System.arraycopy(all, (int) row * columns, into, 0, columns);
          rows.change(t.name(), row, into);
        });
  }

  /** Random tokens. */
  public static int[] text(long seed, int n) {
    return new Random(seed).ints(n, 0, 288).toArray();
  }
}
