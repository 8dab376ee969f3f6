package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.moe4j.engine.Engine.Addition;

/**
 * Damages small models by chance, opens each and takes a few steps: that ends in numbers or in one
 * line for people, in nothing else, and opening takes no more heap than the file justifies.
 */
final class ModelFuzz {
  /** What a start may take of the heap beside a multiple of the file's size. */
  private static final long HEAP_SLACK = 48L << 20;

  private static final long HEAP_PER_BYTE = 64;

  private static final long[] NUMBERS = {
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    63,
    65,
    255,
    256,
    1000,
    65535,
    65536,
    1 << 20,
    1 << 24,
    Integer.MAX_VALUE,
    1L << 31,
    0xffffffffL,
    1L << 32,
    1L << 40,
    Long.MAX_VALUE,
    -1
  };

  private final List<byte[]> models = new ArrayList<>();
  private final List<List<Integer>> keys = new ArrayList<>();
  private final Path file;
  private int refused;
  private int ran;

  /** Of these models of the resources; {@code file} is where damaged ones lie. */
  ModelFuzz(List<String> names, Path file) throws Exception {
    this.file = file;
    for (String name : names) {
      byte[] bytes = Files.readAllBytes(TinyModels.path(name));
      models.add(bytes);
      keys.add(values(bytes));
    }
  }

  /** Where the numbers of the metadata lie: behind a key's name and the type of 32-bit numbers. */
  private static List<Integer> values(byte[] bytes) {
    List<Integer> found = new ArrayList<>();
    String text = new String(bytes, 0, Math.min(bytes.length, 4096), StandardCharsets.ISO_8859_1);
    for (int i = text.indexOf('.'); i >= 0; i = text.indexOf('.', i + 1)) {
      int end = i;
      while (end < text.length() && text.charAt(end) > ' ' && text.charAt(end) <= 'z') {
        end++;
      }
      found.add(end + 4);
    }
    return found;
  }

  /** How many were refused. */
  int refused() {
    return refused;
  }

  /** How many ran. */
  int ran() {
    return ran;
  }

  void run(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    byte[] damaged = damaged(random);
    Files.write(file, damaged);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    EngineOptions options =
        EngineOptions.DEFAULT
            .withThreads(1 + random.nextInt(2))
            .withCacheType(random.nextBoolean() ? CacheType.F16 : CacheType.Q8)
            .withExact(random.nextInt(4) == 0)
            .withCache(64L << 20, 1 << 20);
    try (Engine model = Engine.open(file, options);
        Sequence sequence = model.sequence()) {
      heap(threads, before, seed, damaged.length);
      step(model, sequence, random, seed);
      ran++;
    } catch (EngineException e) {
      refused++;
      assertThat(e.getMessage()).as("seed " + seed).doesNotContain("\n");
    } catch (Throwable e) {
      throw new AssertionError("seed " + seed + ": " + e, e);
    }
  }

  /** Of opening alone: in a cold machine each vector of a step is an object. */
  private static void heap(ThreadMXBean threads, long before, long seed, int bytes) {
    assertThat(threads.getCurrentThreadAllocatedBytes() - before)
        .as("seed " + seed + ": heap")
        .isLessThan(HEAP_SLACK + HEAP_PER_BYTE * bytes);
  }

  private static void step(Engine model, Sequence sequence, SplittableRandom random, long seed) {
    int tokens = Math.min(5, model.shape().context());
    int[] prompt = random.ints(tokens, 0, model.shape().vocabulary()).toArray();
    float[][] logits = model.step(List.of(new Addition(sequence, prompt, true)));
    for (float[] row : logits) {
      for (float x : row) {
        assertThat(Float.isFinite(x)).as("seed " + seed + ": logits").isTrue();
      }
    }
    model.generate(prompt, Sampling.GREEDY.withTokens(2), token -> true);
  }

  private byte[] damaged(SplittableRandom random) {
    int which = random.nextInt(models.size());
    byte[] bytes = models.get(which).clone();
    for (int i = 1 + random.nextInt(3); i > 0; i--) {
      bytes = damaged(bytes, keys.get(which), random);
    }
    return bytes;
  }

  private static byte[] damaged(byte[] bytes, List<Integer> keys, SplittableRandom random) {
    ByteBuffer at = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int head = Math.min(bytes.length, 12_000);
    switch (random.nextInt(8)) {
      case 0 -> {
        return Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
      }
      case 1 -> {
        return Arrays.copyOf(bytes, bytes.length - Math.min(bytes.length, random.nextInt(300)));
      }
      case 2, 3, 4 -> {
        int place = keys.get(random.nextInt(keys.size()));
        if (place + 4 <= bytes.length) {
          at.putInt(place, (int) NUMBERS[random.nextInt(NUMBERS.length)]);
        }
      }
      case 5 -> {
        int place = random.nextInt(Math.max(1, head - 8));
        if (place + 8 <= bytes.length) {
          at.putLong(place, NUMBERS[random.nextInt(NUMBERS.length)]);
        }
      }
      case 6 -> {
        for (int i = random.nextInt(8); i >= 0 && head > 0; i--) {
          bytes[random.nextInt(head)] = (byte) random.nextInt();
        }
      }
      default -> {
        for (int i = random.nextInt(50); i >= 0 && bytes.length > 0; i--) {
          bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
        }
      }
    }
    return bytes;
  }
}
