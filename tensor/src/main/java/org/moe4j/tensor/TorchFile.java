package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * The tensors of a PyTorch checkpoint ({@code torch.save} of a state dict, the zip format of torch
 * 1.6 and later), or of a folder with {@code pytorch_model.bin} or its shards.
 *
 * <p>Files of any origin are safe to open: the pickle inside is read as data, by a reader that
 * knows only what state dicts need; a file that names anything else is refused, nothing in it is
 * ever run. Opening reads the directories and pickles alone; values are read when they are asked
 * for, with their offsets and strides. Entries that are no tensors but a number, a string or None
 * are left out.
 */
public final class TorchFile implements StoredTensors {
  /** The name of an unsharded file in a checkpoint folder. */
  public static final String SINGLE_FILE = "pytorch_model.bin";

  /** The name of the list of shards in a checkpoint folder. */
  public static final String INDEX_FILE = "pytorch_model.bin.index.json";

  private record Place(TorchShard shard, StridedView view) {}

  private final Path path;
  private final Map<Path, TorchShard> shards = new LinkedHashMap<>();
  private final Map<String, Place> places = new LinkedHashMap<>();

  private TorchFile(Path path) {
    this.path = path;
  }

  /**
   * Opens a file, or a folder: {@code pytorch_model.bin} if it is there, else the shards of {@code
   * pytorch_model.bin.index.json}.
   *
   * @throws MoeException if there is none, or a file is not valid
   */
  public static TorchFile open(Path path) {
    TorchFile opened = new TorchFile(path);
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
    TorchShard shard = openOnce(file);
    shard.tensors().forEach((name, view) -> places.put(name, new Place(shard, view)));
  }

  private void addShards(Path folder) {
    Path index = folder.resolve(INDEX_FILE);
    if (!Files.exists(index)) {
      throw new MoeException(folder + " holds neither " + SINGLE_FILE + " nor " + INDEX_FILE);
    }
    ShardIndex.forEach(
        index,
        ".bin",
        (name, file) -> {
          TorchShard shard = openOnce(file);
          StridedView view = shard.tensors().get(name);
          if (view == null) {
            throw ShardIndex.notInShard(index, name, file);
          }
          places.put(name, new Place(shard, view));
        });
  }

  private TorchShard openOnce(Path file) {
    return shards.computeIfAbsent(file, TorchShard::open);
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
    return place(name).view().tensor();
  }

  /** True if the file holds the tensor's values row-major, so that {@link #segment} gives them. */
  public boolean isContiguous(String name) {
    return place(name).view().isContiguous();
  }

  @Override
  public void loadInto(String name, Tensor target) {
    Place p = place(name);
    p.view().tensor().requireShapeOf(target, p.shard().path());
    p.shard().read(p.view(), target);
  }

  @Override
  public MemorySegment segment(String name) {
    Place p = place(name);
    return p.shard().segment(p.view());
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
    shards.values().forEach(TorchShard::close);
  }
}
