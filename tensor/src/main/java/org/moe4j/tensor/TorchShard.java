package org.moe4j.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.moe4j.tensor.PickleValue.Bool;
import org.moe4j.tensor.PickleValue.Dict;
import org.moe4j.tensor.PickleValue.Int;
import org.moe4j.tensor.PickleValue.Nothing;
import org.moe4j.tensor.PickleValue.Real;
import org.moe4j.tensor.PickleValue.Text;

/**
 * One open file of {@code torch.save}: a zip file with {@code NAME/data.pkl}, a pickle of the dict
 * of tensors, and the bytes of each storage in {@code NAME/data/KEY}.
 */
final class TorchShard implements AutoCloseable {
  private static final String PICKLE = "/data.pkl";
  private static final long LONGEST_PICKLE = 1 << 26;
  private static final int LOCAL_HEADER = 0x04034b50;

  /** How the files before torch 1.6 start: a pickle of a magic number. */
  private static final byte[] LEGACY = {
    (byte) 0x80, 2, (byte) 0x8a, 10, 0x6c, (byte) 0xfc, (byte) 0x9c, 0x46
  };

  /** What is read at once of a view whose elements lie far apart. */
  private static final long PIECE = 1 << 24;

  private final MappedFile file;
  private final Map<String, StridedView> tensors;

  private TorchShard(MappedFile file, Map<String, StridedView> tensors) {
    this.file = file;
    this.tensors = Collections.unmodifiableMap(tensors);
  }

  /**
   * Opens a file and checks where its tensors lie; their values are not read.
   *
   * @throws MoeException if it is not a valid file of a plain state dict
   */
  static TorchShard open(Path path) {
    MappedFile file = MappedFile.open(path, "torch file");
    try {
      checkKind(file);
      return new TorchShard(file, tensors(file, ZipDirectory.read(file).entries()));
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  private static void checkKind(MappedFile file) {
    int n = (int) Math.min(file.size(), LEGACY.length);
    byte[] start = file.bytes(0, n).array();
    if (Arrays.equals(start, LEGACY)) {
      throw new MoeException(
          file.path()
              + ": a legacy torch file (before torch 1.6); load it with torch and save it again");
    }
    if (n < LEGACY.length || file.bytes(0, 4).getInt(0) != LOCAL_HEADER) {
      throw new MoeException(file.path() + ": no torch file (it is not a zip file of torch.save)");
    }
  }

  private static Map<String, StridedView> tensors(
      MappedFile file, Map<String, ZipDirectory.Entry> entries) {
    List<String> pickles =
        entries.keySet().stream()
            .filter(n -> n.endsWith(PICKLE) && n.indexOf('/') == n.length() - PICKLE.length())
            .toList();
    if (pickles.size() != 1) {
      throw new MoeException(
          file.path() + ": no torch file (" + pickles.size() + " entries NAME/data.pkl)");
    }
    String root = pickles.getFirst().substring(0, pickles.getFirst().indexOf('/') + 1);
    checkByteOrder(file, entries, root);
    ZipDirectory.Entry entry = entries.get(pickles.getFirst());
    String where = file.path() + ": data.pkl";
    if (entry.size() > LONGEST_PICKLE) {
      throw new MoeException(
          where + ": " + entry.size() + " bytes, over the limit of " + LONGEST_PICKLE);
    }
    byte[] pickle = file.bytes(entry.start(), (int) entry.size()).array();
    PickleValue all = PickleReader.read(pickle, where, new TorchGlobals(where));
    if (!(all instanceof Dict dict)) {
      throw new MoeException(where + ": holds no dict of tensors by name");
    }
    Map<String, StridedView> tensors = new LinkedHashMap<>();
    dict.entries()
        .forEach(
            (name, value) -> {
              switch (value) {
                case TorchGlobals.View v -> tensors.put(name, placed(file, entries, root, name, v));
                // Versions and the like stand beside the tensors of some files.
                case Nothing _, Bool _, Int _, Real _, Text _ -> {}
                default ->
                    throw new MoeException(
                        where
                            + ": entry "
                            + Names.shown(name)
                            + " is no tensor; save the state dict alone, not inside of another");
              }
            });
    return tensors;
  }

  private static void checkByteOrder(
      MappedFile file, Map<String, ZipDirectory.Entry> entries, String root) {
    ZipDirectory.Entry entry = entries.get(root + "byteorder");
    // Files before torch 2.1 do not tell: they are little-endian.
    if (entry == null) {
      return;
    }
    int n = (int) Math.min(entry.size(), 64);
    byte[] order = file.bytes(entry.start(), n).array();
    String told = new String(order, StandardCharsets.UTF_8);
    if (!told.equals("little")) {
      throw new MoeException(
          file.path() + ": byte order " + Names.shown(told) + ", only little is read");
    }
  }

  private static StridedView placed(
      MappedFile file,
      Map<String, ZipDirectory.Entry> entries,
      String root,
      String name,
      TorchGlobals.View view) {
    String what = file.path() + ": tensor " + Names.shown(name);
    TorchGlobals.Storage storage = view.storage();
    ZipDirectory.Entry entry = entries.get(root + "data/" + storage.key());
    if (entry == null) {
      throw new MoeException(what + ": its storage " + Names.shown(storage.key()) + " is missing");
    }
    // Divided, as a product could overflow.
    if (entry.size() % storage.width() != 0
        || entry.size() / storage.width() != storage.elements()) {
      throw new MoeException(
          what
              + ": its storage "
              + Names.shown(storage.key())
              + " has "
              + entry.size()
              + " bytes, not "
              + storage.elements()
              + " elements of "
              + storage.width());
    }
    int width = view.dtype().bytes();
    StridedView.check(
        what, view.dtype(), view.offset(), view.shape(), view.strides(), entry.size() / width);
    StoredTensor tensor = new StoredTensor(name, view.dtype(), view.shape());
    long start = tensor.elements() == 0 ? entry.start() : entry.start() + view.offset() * width;
    return new StridedView(tensor, start, view.strides());
  }

  Path path() {
    return file.path();
  }

  Map<String, StridedView> tensors() {
    return tensors;
  }

  /**
   * Reads the elements of a contiguous view from {@code from} on, or the whole of another one into
   * a {@code target} of its shape.
   */
  void read(StridedView view, long from, Tensor target) {
    DType dtype = view.tensor().dtype();
    if (view.isContiguous()) {
      ElementRun.read(dtype, from, target, (at, into) -> file.read(view.start() + at, into));
      return;
    }
    try (NoGrad off = NoGrad.open()) {
      long[] strides = view.strides().stream().mapToLong(Long::longValue).toArray();
      copy(view.start(), dtype, view.tensor().sizes(), strides, target);
    }
  }

  /**
   * Reads the bytes from a view's first element to its last and picks the view's from them. Where
   * that is much more than the view itself, in halves of the dimension that reaches furthest.
   */
  private void copy(long start, DType dtype, long[] sizes, long[] strides, Tensor target) {
    long elements = LongStream.of(sizes).reduce(1, (a, b) -> a * b);
    if (elements == 0) {
      return;
    }
    long span = 1;
    int widest = 0;
    for (int d = 0; d < sizes.length; d++) {
      span += (sizes[d] - 1) * strides[d];
      if ((sizes[d] - 1) * strides[d] > (sizes[widest] - 1) * strides[widest]) {
        widest = d;
      }
    }
    try (Scope scope = Scope.open()) {
      if (span <= 2 * elements || span <= PIECE / dtype.bytes()) {
        Tensor flat = Tensor.empty(dtype, Device.CPU, span);
        file.read(start, flat.segment());
        target.copyInPlace(flat.strided(sizes, strides));
        return;
      }
      long half = sizes[widest] / 2;
      long rest = sizes[widest] - half;
      long[] part = sizes.clone();
      part[widest] = half;
      copy(start, dtype, part, strides, target.narrow(widest, 0, half));
      part[widest] = rest;
      long next = start + half * strides[widest] * dtype.bytes();
      copy(next, dtype, part, strides, target.narrow(widest, half, rest));
    }
  }

  /** The values of a contiguous tensor in the mapped file, read-only, until this file is closed. */
  MemorySegment segment(StridedView view) {
    if (!view.isContiguous()) {
      throw new MoeException(
          path()
              + ": tensor "
              + Names.shown(view.tensor().name())
              + " has the strides "
              + view.strides()
              + " in the file, so its bytes are not in order there; load it");
    }
    return file.segment(view.start(), view.tensor().bytes());
  }

  @Override
  public void close() {
    file.close();
  }
}
