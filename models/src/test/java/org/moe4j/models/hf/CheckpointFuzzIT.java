package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.Tiny;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Fp8Blocks;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Mxfp4Blocks;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensors;
import org.moe4j.tensor.TorchFile;

/**
 * Damaged checkpoints end in one line or in a valid read, in nothing else, and take no more memory
 * than they justify. Runs in {@code mvn verify}, for {@code moe4j.fuzz.seconds} in all, from {@code
 * moe4j.fuzz.seed} on; a failure names the seed that repeats it.
 */
class CheckpointFuzzIT {
  private static final int READERS = 4;
  private static final long SECONDS = Long.getLong("moe4j.fuzz.seconds", 8);
  private static final long FIRST_SEED = Long.getLong("moe4j.fuzz.seed", 1);

  /** What a reader may take of the heap beside a multiple of the files' size: tables, messages. */
  private static final long HEAP_SLACK = 24L << 20;

  private static final long HEAP_PER_BYTE = 64;

  /** The process's memory beyond what the undamaged checkpoint took. */
  private static final long NATIVE_SLACK = 192L << 20;

  @TempDir private Path dir;
  @TempDir private Path own;

  /** Something that a damaged folder is given to. */
  private interface Reader {
    void read() throws IOException;
  }

  /** Damages the folder for this seed. */
  private interface Damage {
    void apply(Mutator by) throws IOException;
  }

  private void fuzz(Damage damage, Reader reader) throws Exception {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    reader.read();
    long resident = NativeMemory.peakResident();
    long end = System.nanoTime() + SECONDS * 1_000_000_000L / READERS;
    int refused = 0;
    long seed = FIRST_SEED;
    for (; System.nanoTime() < end; seed++) {
      damage.apply(new Mutator(seed));
      long before = threads.getCurrentThreadAllocatedBytes();
      try {
        reader.read();
      } catch (MoeException e) {
        refused++;
        assertThat(e.getMessage()).as("seed " + seed).doesNotContain("\n");
      } catch (Throwable e) {
        throw new AssertionError("seed " + seed + ": " + e, e);
      }
      assertThat(threads.getCurrentThreadAllocatedBytes() - before)
          .as("seed " + seed + ": heap")
          .isLessThan(HEAP_SLACK + HEAP_PER_BYTE * size());
      assertThat(NativeMemory.peakResident() - resident)
          .as("seed " + seed + ": memory")
          .isLessThan(NATIVE_SLACK);
    }
    assertThat(refused).as("refused of " + (seed - FIRST_SEED)).isPositive();
  }

  private long size() throws IOException {
    try (Stream<Path> files = Files.list(dir)) {
      return files.mapToLong(f -> f.toFile().length()).sum();
    }
  }

  private static List<Path> files(String folder) throws Exception {
    try (Stream<Path> all = Files.list(HfCheckpointTest.resource(folder))) {
      return all.filter(f -> !f.getFileName().toString().startsWith("expected")).sorted().toList();
    }
  }

  private void copy(List<Path> files) throws IOException {
    try (Stream<Path> old = Files.list(dir)) {
      for (Path f : old.toList()) {
        Files.delete(f);
      }
    }
    for (Path f : files) {
      Files.copy(f, dir.resolve(f.getFileName()));
    }
  }

  private static void readAll(StoredTensors in) {
    for (String name : in.names()) {
      try (Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        assertThat(in.load(name).numel()).isEqualTo(in.describe(name).elements());
      }
    }
  }

  /** Header and values, of plain weights and of codes with scales. */
  @Test
  void safetensors() throws Exception {
    List<byte[]> whole = List.of(one("hf/mixtral"), one("deepseek_v3-fp8"), one("gpt_oss-mxfp4"));
    Path file = dir.resolve(Safetensors.SINGLE_FILE);
    Files.write(file, whole.getFirst());
    fuzz(
        by -> Files.write(file, damaged(whole.get(by.below(whole.size())), by)),
        () -> {
          try (Safetensors in = Safetensors.open(file)) {
            readAll(in);
            for (String name : in.names()) {
              try (Scope scope = Scope.open()) {
                if (name.endsWith(Fp8Blocks.SCALES)) {
                  String weight = name.substring(0, name.length() - Fp8Blocks.SCALES.length());
                  Fp8Blocks.open(in, weight, 128, 128).load(DType.F32);
                }
                if (name.endsWith(Mxfp4Blocks.BLOCKS)) {
                  String weight = name.substring(0, name.length() - Mxfp4Blocks.BLOCKS.length());
                  Mxfp4Blocks.open(in, weight).load(DType.BF16);
                }
              }
            }
          }
        });
  }

  private static byte[] one(String fixture) throws Exception {
    String folder = fixture.contains("/") ? fixture : "families/" + fixture;
    return Files.readAllBytes(HfCheckpointTest.resource(folder).resolve(Safetensors.SINGLE_FILE));
  }

  /** Bytes anywhere at the start, or the header as the text it is, its length put right. */
  private static byte[] damaged(byte[] whole, Mutator by) {
    int header = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
    if (by.below(3) == 0) {
      return by.bytes(whole, by.below(8) == 0 ? whole.length : 8 + header);
    }
    byte[] json = by.json(Arrays.copyOfRange(whole, 8, 8 + header));
    byte[] made = new byte[8 + json.length + whole.length - 8 - header];
    ByteBuffer.wrap(made)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(json.length)
        .put(json)
        .put(whole, 8 + header, whole.length - 8 - header);
    return made;
  }

  @Test
  void index() throws Exception {
    copy(files("ours/mixtral"));
    Path file = dir.resolve(Safetensors.INDEX_FILE);
    byte[] whole = Files.readAllBytes(file);
    fuzz(by -> Files.write(file, by.json(whole)), () -> HfCheckpoint.load(dir).model().close());
  }

  /**
   * Configurations of all families and of our own layout, in front of weights that are in order.
   */
  @Test
  void config() throws Exception {
    List<List<Path>> folders = new ArrayList<>(List.of(files("hf/mixtral"), files("hf/olmoe")));
    for (String family :
        List.of(
            "aria-multimodal",
            "dbrx-base",
            "deepseek_v2-group",
            "deepseek_v3-base",
            "ernie4_5_moe-interval",
            "flex_olmo-norm",
            "glm4_moe-air",
            "gpt_oss-mxfp4",
            "granitemoeshared-base",
            "hunyuan_v1_moe-list",
            "jetmoe-base",
            "phimoe-long",
            "qwen2_moe-window",
            "qwen3_moe-yarn")) {
      folders.add(files("families/" + family));
    }
    for (DecoderConfig config : Tiny.shapes().toList()) {
      Path saved = own.resolve("saved-" + folders.size());
      try (Decoder model = Tiny.model(config, 1)) {
        HfCheckpoint.save(saved, model, HfCheckpoint.SaveOptions.DEFAULT);
      }
      folders.add(List.of(saved.resolve(ConfigFile.NAME), saved.resolve(Safetensors.SINGLE_FILE)));
    }
    Path file = dir.resolve(ConfigFile.NAME);
    copy(folders.getFirst());
    fuzz(
        by -> {
          copy(folders.get(by.below(folders.size())));
          Files.write(file, by.json(Files.readAllBytes(file)));
        },
        () -> HfCheckpoint.load(dir).model().close());
  }

  @Test
  void torchShards() throws Exception {
    List<Path> files = files("families/switch_transformers-shards");
    copy(files);
    fuzz(
        by -> {
          Path chosen = files.get(by.below(files.size()));
          byte[] whole = Files.readAllBytes(chosen);
          byte[] changed = chosen.toString().endsWith(".json") ? by.json(whole) : zipped(whole, by);
          copy(files);
          Files.write(dir.resolve(chosen.getFileName()), changed);
        },
        () -> {
          try (TorchFile in = TorchFile.open(dir)) {
            readAll(in);
          }
        });
  }

  /** The pickle lies at the start and the directory at the end. */
  private static byte[] zipped(byte[] whole, Mutator by) {
    int part = Math.min(whole.length, 8192);
    if (by.below(2) == 0) {
      return by.bytes(whole, part);
    }
    byte[] end = by.bytes(Arrays.copyOfRange(whole, whole.length - part, whole.length), part);
    byte[] made = Arrays.copyOf(whole, whole.length - part + end.length);
    System.arraycopy(end, 0, made, whole.length - part, end.length);
    return made;
  }
}
