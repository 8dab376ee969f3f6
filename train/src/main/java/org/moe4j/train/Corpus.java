package org.moe4j.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.moe4j.CorpusCounts;
import org.moe4j.train.config.DataSection;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.BpeTokenizer;
import org.moe4j.train.data.BpeTrainer;
import org.moe4j.train.data.DocumentSplit;
import org.moe4j.train.data.Fields;
import org.moe4j.train.data.FileOptions;
import org.moe4j.train.data.TextSource;
import org.moe4j.train.data.TokenDataset;
import org.moe4j.train.data.TokenStream;
import org.moe4j.train.data.ValidationSet;

/**
 * The text of a run as tokens.
 *
 * @param source what the text is, in words
 * @param tokenizer its tokenizer
 * @param dataset the tokens, split by document
 * @param validation what the model and the baselines are scored on
 */
public record Corpus(
    String source, BpeTokenizer tokenizer, TokenDataset dataset, ValidationSet validation) {
  /** Enough for a standard error of bits per byte below one percent, and soon scored. */
  private static final int VALIDATION_TOKENS = 32_768;

  private static final int PROMPT_WORDS = 4;

  /**
   * Reads the text of {@code config}.
   *
   * @throws org.moe4j.tensor.MoeException if text or tokenizer are missing or unusable
   */
  public static Corpus read(TrainingConfig config, TrainingListener listener) {
    return read(config, config.data().tokenizer(), listener);
  }

  /**
   * Reads the text of {@code config}.
   *
   * @param known a tokenizer.json to use if it exists, before what the configuration says
   * @throws org.moe4j.tensor.MoeException if text or tokenizer are missing or unusable
   */
  static Corpus read(TrainingConfig config, Path known, TrainingListener listener) {
    boolean exists = Files.exists(known);
    return read(config, exists ? Optional.of(known) : config.data().tokenizer(), listener);
  }

  private static Corpus read(
      TrainingConfig config, Optional<Path> file, TrainingListener listener) {
    DataSection data = config.data();
    TextSource source = source(data);
    DocumentSplit split = new DocumentSplit(config.run().seed(), data.validationFraction());
    BpeTokenizer tokenizer;
    if (file.isPresent()) {
      tokenizer = BpeTokenizer.read(file.get());
    } else {
      listener.stage("training the tokenizer on " + source.description());
      tokenizer = BpeTrainer.train(source, split, data.vocabSize());
    }
    listener.stage("encoding " + source.description());
    TokenDataset dataset = TokenDataset.build(source, tokenizer, split);
    ValidationSet validation =
        new ValidationSet(
            dataset.validation(),
            config.train().batchSize(),
            data.sequenceLength(),
            VALIDATION_TOKENS);
    return new Corpus(source.description(), tokenizer, dataset, validation);
  }

  private static TextSource source(DataSection data) {
    if (data.embedded()) {
      return TextSource.wordNet();
    }
    Fields fields = new Fields(data.textField(), data.domainField());
    if (data.query().isPresent()) {
      return TextSource.sql(data.query().get(), fields);
    }
    List<Path> paths = data.source().stream().map(Path::of).toList();
    boolean byParagraph = paths.stream().noneMatch(Files::isDirectory);
    return TextSource.files(paths, new FileOptions(fields, byParagraph));
  }

  /** How often ids and domains occur in the training text. */
  public CorpusCounts counts() {
    return dataset.train().counts(tokenizer.vocabSize(), dataset.domains().size());
  }

  /**
   * Beginnings of held-out documents that no training document has: up to the first colon, as in
   * {@code "dog, domestic dog:"}, or else the first words.
   */
  List<String> unseenPrompts(int count) {
    Set<String> seen = new HashSet<>();
    documents(dataset.train(), Integer.MAX_VALUE).forEach(seen::add);
    Set<String> prompts = new LinkedHashSet<>(documents(dataset.validation(), 50 * count));
    return prompts.stream().filter(p -> !p.isBlank() && !seen.contains(p)).limit(count).toList();
  }

  /** The prompts of the first {@code most} documents of {@code stream}. */
  private List<String> documents(TokenStream stream, int most) {
    int end = tokenizer.endOfText();
    List<String> prompts = new ArrayList<>();
    List<Integer> ids = new ArrayList<>();
    for (int i = 1; i < stream.size() && prompts.size() < most; i++) {
      if (stream.token(i) == end) {
        prompts.add(prompt(ids));
        ids.clear();
      } else if (ids.size() < 32) {
        ids.add(stream.token(i));
      }
    }
    return prompts;
  }

  private String prompt(List<Integer> ids) {
    String text = tokenizer.decode(ids.stream().mapToInt(i -> i).toArray());
    int colon = text.indexOf(':');
    if (colon > 0) {
      return text.substring(0, colon + 1);
    }
    String[] words = text.strip().split("\\s+");
    return String.join(" ", List.of(words).subList(0, Math.min(PROMPT_WORDS, words.length)));
  }
}
