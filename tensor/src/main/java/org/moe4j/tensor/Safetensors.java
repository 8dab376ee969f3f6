package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
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

  static final String INDEX_FILE = "model.safetensors.index.json";

  private record Place(SafetensorsFile file, SafetensorsHeader.Slot slot) {}

  private final Path path;
  private final Map<Path, SafetensorsFile> files = new LinkedHashMap<>();
  private final Map<String, Place> places = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();

  private Safetensors(Path path) {
    this.path = path;
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
      if (!Files.exists(path)) {
        throw new MoeException(path + ": no such file or folder");
      }
      Path single = path.resolve(SINGLE_FILE);
      if (!Files.isDirectory(path)) {
        opened.addFile(path);
      } else if (Files.exists(single)) {
        opened.addFile(single);
      } else {
        opened.addShards(path);
      }
      return opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  private void addFile(Path file) {
    SafetensorsFile f = openOnce(file);
    f.tensors().forEach((name, slot) -> places.put(name, new Place(f, slot)));
  }

  private void addShards(Path folder) {
    Path index = folder.resolve(INDEX_FILE);
    if (!Files.exists(index)) {
      throw new MoeException(folder + " holds neither " + SINGLE_FILE + " nor " + INDEX_FILE);
    }
    ShardIndex.forEach(
        index,
        ".safetensors",
        (name, shard) -> {
          SafetensorsFile f = openOnce(shard);
          SafetensorsHeader.Slot slot = f.tensors().get(name);
          if (slot == null) {
            throw ShardIndex.notInShard(index, name, shard);
          }
          places.put(name, new Place(f, slot));
        });
  }

  private SafetensorsFile openOnce(Path file) {
    SafetensorsFile known = files.get(file);
    if (known == null) {
      known = SafetensorsFile.open(file);
      files.put(file, known);
      metadata.putAll(known.metadata());
    }
    return known;
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(places.keySet());
  }

  @Override
  public StoredTensor describe(String name) {
    return place(name).slot().tensor();
  }

  /** The strings that the files carry beside their tensors. */
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(metadata);
  }

  @Override
  public void loadInto(String name, Tensor target) {
    Place p = place(name);
    StoredTensor t = p.slot().tensor();
    t.requireShapeOf(target, p.file().path());
    if (target.dtype() == t.dtype() && target.device() == Device.CPU && target.isContiguous()) {
      p.file().read(p.slot(), target.segment());
      return;
    }
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      target.copyInPlace(load(name));
    }
  }

  /** Copies the bytes of a tensor from its byte {@code from} on, as many as {@code into} has. */
  void read(String name, long from, MemorySegment into) {
    Place p = place(name);
    p.file().read(p.slot(), from, into);
  }

  @Override
  public MemorySegment segment(String name) {
    Place p = place(name);
    return p.file().segment(p.slot());
  }

  private Place place(String name) {
    Place p = places.get(name);
    if (p == null) {
      throw new MoeException(path + ": no tensor " + Names.shown(name));
    }
    return p;
  }

  @Override
  public void close() {
    files.values().forEach(SafetensorsFile::close);
  }
}
