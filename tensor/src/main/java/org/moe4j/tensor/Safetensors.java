package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The tensors of a safetensors file, or of a folder with {@code model.safetensors} or its shards.
 * Opening reads and checks the headers alone; values are read when they are asked for. Files of any
 * origin are safe to open: what is wrong with one is told in one line, and no more memory is taken
 * than the file's own size justifies.
 */
public final class Safetensors implements StoredTensors {
  /** The name of an unsharded file in a checkpoint folder. */
  public static final String SINGLE_FILE = "model.safetensors";

  /** The name of the list of shards in a checkpoint folder. */
  public static final String INDEX_FILE = "model.safetensors.index.json";

  private static final Shards.Naming NAMING =
      new Shards.Naming(SINGLE_FILE, INDEX_FILE, ".safetensors");

  private final Shards<SafetensorsFile, SafetensorsHeader.Slot> shards;

  private Safetensors(Path path) {
    this.shards = new Shards<>(path, SafetensorsFile::open, SafetensorsFile::tensors);
  }

  /**
   * Opens a file, or a folder: {@code model.safetensors} if it is there, else the shards of {@code
   * model.safetensors.index.json}.
   *
   * @throws MoeException if there is none, or a file is not valid
   */
  public static Safetensors open(Path path) {
    Safetensors opened = new Safetensors(path);
    try {
      opened.shards.open(NAMING);
      return opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  @Override
  public Path path() {
    return shards.path();
  }

  @Override
  public Set<String> names() {
    return shards.names();
  }

  @Override
  public StoredTensor describe(String name) {
    return place(name).slot().tensor();
  }

  /** The strings that the files carry beside their tensors. */
  public Map<String, String> metadata() {
    Map<String, String> all = new LinkedHashMap<>();
    shards.files().forEach(f -> all.putAll(f.metadata()));
    return Collections.unmodifiableMap(all);
  }

  @Override
  public void loadInto(String name, long from, Tensor target) {
    var p = place(name);
    StoredTensor t = p.slot().tensor();
    Objects.checkFromIndexSize(from, target.numel(), t.elements());
    ElementRun.read(t.dtype(), from, target, (at, into) -> p.file().read(p.slot(), at, into));
  }

  /** Copies the bytes of a tensor from its byte {@code from} on, as many as {@code into} has. */
  void read(String name, long from, MemorySegment into) {
    var p = place(name);
    p.file().read(p.slot(), from, into);
  }

  @Override
  public MemorySegment segment(String name) {
    var p = place(name);
    return p.file().segment(p.slot());
  }

  private Shards.Place<SafetensorsFile, SafetensorsHeader.Slot> place(String name) {
    return shards.place(name);
  }

  @Override
  public void close() {
    shards.files().forEach(SafetensorsFile::close);
  }
}
