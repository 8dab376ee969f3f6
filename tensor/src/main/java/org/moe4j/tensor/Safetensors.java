package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
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
public final class Safetensors implements AutoCloseable {
  /** The name of an unsharded file in a checkpoint folder. */
  public static final String SINGLE_FILE = "model.safetensors";

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
    Path index = folder.resolve(SafetensorsIndex.FILE);
    if (!Files.exists(index)) {
      throw new MoeException(
          folder + " holds neither " + SINGLE_FILE + " nor " + SafetensorsIndex.FILE);
    }
    SafetensorsIndex.read(index)
        .shardOf()
        .forEach(
            (name, shard) -> {
              Path file = folder.resolve(shard);
              if (!Files.exists(file)) {
                throw new MoeException(
                    index
                        + ": the shard "
                        + shard
                        + " is missing (it holds "
                        + Names.shown(name)
                        + ")");
              }
              SafetensorsFile f = openOnce(file);
              SafetensorsHeader.Slot slot = f.tensors().get(name);
              if (slot == null) {
                throw new MoeException(
                    index + ": tensor " + Names.shown(name) + " is not in its shard " + shard);
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

  /** The file or folder that was opened. */
  public Path path() {
    return path;
  }

  /** The names of all tensors. */
  public Set<String> names() {
    return Collections.unmodifiableSet(places.keySet());
  }

  /** Type and shape of a tensor. */
  public StoredTensor describe(String name) {
    return place(name).slot().tensor();
  }

  /** The strings that the files carry beside their tensors. */
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(metadata);
  }

  /** The bytes of all tensors' values. */
  public long bytes() {
    return places.values().stream().mapToLong(p -> p.slot().tensor().bytes()).sum();
  }

  /** Reads a tensor, in the type it is stored in, into new memory on the CPU. */
  public Tensor load(String name) {
    Place p = place(name);
    StoredTensor t = p.slot().tensor();
    Tensor loaded = Tensor.empty(t.dtype(), Device.CPU, t.sizes());
    p.file().read(p.slot(), loaded.segment());
    return loaded;
  }

  /**
   * Reads a tensor into existing memory, converting its type; the shapes must agree. A contiguous
   * CPU target of the stored type is filled without a copy in between.
   *
   * @throws MoeException if the stored shape is another
   */
  public void loadInto(String name, Tensor target) {
    Place p = place(name);
    StoredTensor t = p.slot().tensor();
    if (!Arrays.equals(t.sizes(), target.shape())) {
      throw new MoeException(
          p.file().path()
              + ": tensor "
              + Names.shown(name)
              + " has shape "
              + t.shape()
              + ", expected "
              + Arrays.toString(target.shape()));
    }
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

  /**
   * The little-endian bytes of a tensor in the mapped file: read-only, nothing is copied. The
   * segment ends with {@link #close}; a use after that is an IllegalStateException.
   */
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
