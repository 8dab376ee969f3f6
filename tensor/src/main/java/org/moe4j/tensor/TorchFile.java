package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;
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

  private static final Shards.Naming NAMING = new Shards.Naming(SINGLE_FILE, INDEX_FILE, ".bin");

  private final Shards<TorchShard, StridedView> shards;

  private TorchFile(Path path) {
    this.shards = new Shards<>(path, TorchShard::open, TorchShard::tensors);
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

  @Override
  public boolean isContiguous(String name) {
    return place(name).slot().isContiguous();
  }

  /**
   * {@inheritDoc} Of a tensor that the file holds in another order the whole is read first, unless
   * the target is the whole and has its shape.
   */
  @Override
  public void loadInto(String name, long from, Tensor target) {
    var p = place(name);
    StoredTensor stored = p.slot().tensor();
    Objects.checkFromIndexSize(from, target.numel(), stored.elements());
    if (p.slot().isContiguous() || Arrays.equals(stored.sizes(), target.shape())) {
      p.file().read(p.slot(), from, target);
      return;
    }
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      Tensor run = load(name).flatten().narrow(0, from, target.numel());
      target.copyInPlace(run.view(target.shape()));
    }
  }

  @Override
  public MemorySegment segment(String name) {
    var p = place(name);
    return p.file().segment(p.slot());
  }

  private Shards.Place<TorchShard, StridedView> place(String name) {
    return shards.place(name);
  }

  @Override
  public void close() {
    shards.files().forEach(TorchShard::close);
  }
}
