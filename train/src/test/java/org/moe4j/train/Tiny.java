package org.moe4j.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.moe4j.train.config.TrainingConfig;

/** Runs that take a second. */
final class Tiny {
  private Tiny() {}

  /** A corpus of short made-up definitions, one a paragraph. */
  static Path corpus(Path folder) throws IOException {
    SplittableRandom random = new SplittableRandom(1);
    List<String> things = List.of("cat", "dog", "oak", "fern", "hammer", "saw", "river", "hill");
    List<String> kinds = List.of("animal", "plant", "tool", "place");
    List<String> marks = List.of("small", "large", "old", "grey", "useful", "quiet");
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 400; i++) {
      int thing = random.nextInt(things.size());
      text.append(marks.get(random.nextInt(marks.size())))
          .append(' ')
          .append(things.get(thing))
          .append(' ')
          .append(i)
          .append(": a ")
          .append(marks.get(random.nextInt(marks.size())))
          .append(' ')
          .append(kinds.get(thing / 2))
          .append("\n\n");
    }
    return Files.writeString(folder.resolve("corpus.txt"), text);
  }

  /** A small sparse model on that corpus, its runs in {@code folder/runs}. */
  static TrainingConfig config(Path folder, String... overrides) {
    List<String> all = new ArrayList<>();
    all.addAll(
        List.of(
            "run.dir=" + folder.resolve("runs"),
            "run.name=tiny",
            "run.threads=1",
            "data.source=" + folder.resolve("corpus.txt"),
            "data.vocab-size=320",
            "data.sequence-length=16",
            "data.validation-fraction=0.1",
            "model.layers=2",
            "model.hidden=16",
            "model.heads=2",
            "model.kv-heads=1",
            "model.ffn=32",
            "moe.experts=4",
            "moe.expert-ffn=16",
            "train.steps=20",
            "train.batch-size=4",
            "train.learning-rate=1e-2",
            "train.min-learning-rate=1e-3",
            "train.precision=fp32",
            "train.validate-every=0",
            "train.checkpoint-every=5",
            "train.sample-every=0"));
    Stream.of(overrides).forEach(all::add);
    return TrainingConfig.defaults().with(all);
  }
}
