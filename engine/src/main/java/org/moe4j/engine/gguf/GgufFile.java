package org.moe4j.engine.gguf;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.moe4j.engine.EngineException;

/**
 * An open GGUF file (version 2 or 3, one file or shards), mapped into memory: tensors are read when
 * they are touched. What the header says is checked against the file before anything is believed.
 */
public final class GgufFile implements AutoCloseable {
  private static final Pattern SHARD = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf");

  private final Path path;
  private final Metadata metadata;
  private final Map<String, GgufTensor> tensors;
  private final Map<Path, MemorySegment> mapped;
  private final List<Stamp> stamps;
  private final Arena arena;

  private GgufFile(
      Path path,
      Metadata metadata,
      Map<String, GgufTensor> tensors,
      Map<Path, MemorySegment> mapped,
      List<Stamp> stamps,
      Arena arena) {
    this.path = path;
    this.stamps = stamps;
    this.metadata = metadata;
    this.tensors = tensors;
    this.mapped = mapped;
    this.arena = arena;
  }

  /** Where bytes stand: from {@code offset} on in {@code file}. */
  public record Place(Path file, long offset) {}

  /**
   * Opens {@code path}; of a split model any shard, the others beside it.
   *
   * @throws EngineException if it cannot be read, is damaged, or holds types that are not known
   */
  public static GgufFile open(Path path) {
    Arena arena = Arena.ofShared();
    try {
      return read(path, arena);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  private static GgufFile read(Path path, Arena arena) {
    Map<String, GgufTensor> tensors = new LinkedHashMap<>();
    Map<Path, MemorySegment> all = new LinkedHashMap<>();
    List<Stamp> stamps = new ArrayList<>();
    Optional<Metadata> metadata = Optional.empty();
    for (Path file : shards(path)) {
      stamps.add(Stamp.of(file));
      MemorySegment mapped = map(file, arena);
      all.put(file, mapped);
      GgufHeader header = GgufHeader.read(file.toString(), mapped);
      for (GgufTensor t : header.tensors()) {
        if (tensors.put(t.name(), t) != null) {
          throw new EngineException(file + ": tensor " + t.name() + " occurs twice");
        }
      }
      if (metadata.isEmpty()) {
        metadata = Optional.of(header.metadata());
      }
    }
    Metadata first = metadata.orElseThrow();
    OptionalLong stated = first.whole("split.tensors.count");
    if (stated.isPresent() && stated.getAsLong() != tensors.size()) {
      throw new EngineException(
          path
              + ": its shards hold "
              + tensors.size()
              + " tensors, split.tensors.count says "
              + stated.getAsLong());
    }
    return new GgufFile(path, first, tensors, all, stamps, arena);
  }

  private static List<Path> shards(Path path) {
    Matcher name = SHARD.matcher(path.getFileName() == null ? "" : path.getFileName().toString());
    if (!name.matches()) {
      return List.of(path);
    }
    int count = Integer.parseInt(name.group(3));
    List<Path> all = new ArrayList<>();
    for (int i = 1; i <= count; i++) {
      Path shard = path.resolveSibling("%s-%05d-of-%05d.gguf".formatted(name.group(1), i, count));
      if (!Files.isRegularFile(shard)) {
        throw new EngineException(
            shard + ": this shard is missing; put all " + count + " into one folder");
      }
      all.add(shard);
    }
    return all;
  }

  private static MemorySegment map(Path file, Arena arena) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    } catch (IOException e) {
      throw new EngineException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** The file that was opened. */
  public Path path() {
    return path;
  }

  /** Its metadata; of shards the first one's. */
  public Metadata metadata() {
    return metadata;
  }

  /** Size of the file, or of all shards together. */
  public long bytes() {
    return mapped.values().stream().mapToLong(MemorySegment::byteSize).sum();
  }

  /** Where the data of a tensor of this file stands, for reading it without the mapping. */
  public Place place(GgufTensor tensor) {
    for (Map.Entry<Path, MemorySegment> e : mapped.entrySet()) {
      long offset = tensor.data().address() - e.getValue().address();
      if (offset >= 0 && offset < e.getValue().byteSize()) {
        return new Place(e.getKey(), offset);
      }
    }
    throw new IllegalArgumentException(path + ": " + tensor + " is of another file");
  }

  /** All tensors in order. */
  public Collection<GgufTensor> tensors() {
    return Collections.unmodifiableCollection(tensors.values());
  }

  /** The tensor of this name, if there is one. */
  public Optional<GgufTensor> find(String name) {
    return Optional.ofNullable(tensors.get(name));
  }

  /**
   * The tensor of this name.
   *
   * @throws EngineException if there is none
   */
  public GgufTensor tensor(String name) {
    return find(name).orElseThrow(() -> new EngineException(path + ": there is no tensor " + name));
  }

  /**
   * Makes sure that the file, or its shards, still are what was opened. A file that was replaced by
   * another one of its name is; one that was written to is not.
   *
   * @throws EngineException if not
   */
  public void checkUnchanged() {
    stamps.forEach(Stamp::check);
  }

  /** Unmaps the file; tensors must not be read any more. */
  @Override
  public void close() {
    arena.close();
  }
}
