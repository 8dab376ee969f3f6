package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.moe4j.engine.TinyModels.text;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.Engine.Addition;

/**
 * The promise: a text's logits are the same bits whatever shares its steps, however its prompt is
 * cut, on any number of threads, with vectors of any width, and whether keys and values were
 * computed or found.
 */
class BatchInvarianceTest {
  private static final int CONTEXT = 640;

  @TempDir Path folder;

  /** Texts of which many begin alike, some longer than a span of softmax. */
  private static List<int[]> texts(Random random) {
    List<int[]> all = new ArrayList<>();
    for (int i = 0; i < 7; i++) {
      int[] text = text(random.nextInt(3), random.nextInt(1, i < 2 ? CONTEXT : 150));
      int changed = random.nextInt(text.length);
      if (random.nextInt(3) > 0) {
        text[changed] = random.nextInt(288);
      }
      all.add(text);
    }
    return all;
  }

  @ParameterizedTest
  @CsvSource({
    "llama-f16,F16,1",
    "mixtral-q4_0,F16,2",
    "olmoe-q4_0,Q8,3",
    "qwen3moe-q8_0,F16,4",
    "qwen3moe-q4_0,Q8,5",
    "olmoe-bf16,F16,6"
  })
  void logitsAreThoseOfTheTextAlone(String name, CacheType type, long seed) throws Exception {
    Path file = TinyModels.longer(name, folder.resolve("model.gguf"), CONTEXT);
    EngineOptions options = EngineOptions.DEFAULT.withCacheType(type);
    Random random = new Random(seed);
    List<int[]> texts = texts(random);
    Map<Integer, float[]> expected = new HashMap<>();
    try (Engine alone = Engine.open(file, options.withThreads(1).withBatch(CONTEXT))) {
      for (int i = 0; i < texts.size(); i++) {
        expected.put(i, alone.prompt(alone.sequence(), texts.get(i)));
      }
    }
    for (int threads : new int[] {2, 5}) {
      EngineOptions kept = options.withThreads(threads).withCache(Long.MAX_VALUE, 4 << 20);
      try (Engine model = Engine.open(file, kept)) {
        mixed(model, texts, expected, random);
        assertThat(model.cacheStatistics().reusedTokens()).isPositive();
      }
    }
  }

  /** Random pieces of all texts in random company; some are given up, begun anew, or cut back. */
  private static void mixed(
      Engine model, List<int[]> texts, Map<Integer, float[]> expected, Random random) {
    Map<Integer, Sequence> open = new HashMap<>();
    int finished = 0;
    while (finished < 2 * texts.size()) {
      int next = random.nextInt(texts.size());
      if (open.size() < 5 && !open.containsKey(next)) {
        Sequence sequence = model.sequence();
        assertThat(model.begin(sequence, texts.get(next), texts.get(next).length)).isTrue();
        open.put(next, sequence);
      }
      List<Integer> taking =
          open.keySet().stream().filter(i -> random.nextInt(4) > 0 || open.size() == 1).toList();
      List<Addition> step = new ArrayList<>();
      for (int i : taking) {
        int from = open.get(i).length();
        int count = random.nextBoolean() ? 1 : random.nextInt(1, 150);
        int to = Math.min(texts.get(i).length, from + count);
        step.add(new Addition(open.get(i), Arrays.copyOfRange(texts.get(i), from, to), false));
      }
      float[][] logits = model.step(step);
      for (int i = 0; i < taking.size(); i++) {
        int text = taking.get(i);
        Sequence sequence = open.get(text);
        if (sequence.length() == texts.get(text).length) {
          assertThat(logits[i]).as("text " + text).containsExactly(expected.get(text));
          finished++;
        }
        if (sequence.length() == texts.get(text).length || random.nextInt(20) == 0) {
          open.remove(text).close();
        } else if (random.nextInt(10) == 0) {
          sequence.truncate(random.nextInt(sequence.length() + 1));
        }
      }
    }
    open.values().forEach(Sequence::close);
  }

  @ParameterizedTest
  @ValueSource(strings = {"512", "256", "128", "none"})
  void everyWidthOfVectorGivesTheSameLogits(String bits) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path")));
    if (!bits.equals("none")) {
      command.addAll(List.of("--add-modules=jdk.incubator.vector", "-Dmoe4j.vector.bits=" + bits));
    }
    command.add("-Dmoe4j.kernels=vector");
    Path file = TinyModels.longer("qwen3moe-q4_0", folder.resolve("model.gguf"), CONTEXT);
    command.addAll(List.of(BatchInvarianceTest.class.getName(), file.toString()));
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    String printed =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertThat(process.waitFor()).isZero();
    assertThat(printed).isEqualTo(hash(file));
  }

  private static String hash(Path file) {
    StringBuilder all = new StringBuilder();
    for (CacheType type : CacheType.values()) {
      try (Engine model = Engine.open(file, EngineOptions.DEFAULT.withCacheType(type))) {
        Sequence sequence = model.sequence();
        float[] logits = model.prompt(sequence, text(1, 600));
        float[] next = model.prompt(sequence, new int[] {7});
        all.append(Arrays.hashCode(logits)).append(' ').append(Arrays.hashCode(next)).append(' ');
      }
    }
    return all.toString().strip();
  }

  /** Prints what this process's loops give. */
  public static void main(String[] args) {
    System.out.println(hash(Path.of(args[0])));
  }
}
