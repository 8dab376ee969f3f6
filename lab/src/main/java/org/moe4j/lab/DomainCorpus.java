package org.moe4j.lab;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.BpeTokenizer;
import org.moe4j.train.data.BpeTrainer;
import org.moe4j.train.data.Document;
import org.moe4j.train.data.DocumentSplit;
import org.moe4j.train.data.TextSource;
import org.moe4j.train.data.TokenDataset;
import org.moe4j.train.data.TokenStream;

/**
 * Texts of a few domains of about the same size, and of one more that a model meets later: parts of
 * WordNet, and Java where the running JDK comes with its sources.
 *
 * @param tokenizer of the known domains
 * @param known what models learn first; their numbers are the places in this list
 * @param later what they learn afterwards
 */
record DomainCorpus(BpeTokenizer tokenizer, List<Part> known, Part later) {
  private static final int MOST_CHARS = 1_000_000;

  /** Files of Java are long, so that a small share of them could be none. */
  private static final double VALIDATION = 0.1;

  /**
   * The text of one domain.
   *
   * @param name for people
   * @param train what is learned from
   * @param validation held-out documents
   */
  record Part(String name, TokenStream train, TokenStream validation) {}

  /** Known domains of every corpus. */
  static final int KNOWN = 4;

  /** Between two known domains, as each of the paper's later ones resembles some that it knows. */
  private static final String LATER = "plants";

  /** The domain of a lexicographer file; there are more, of which nothing is read. */
  private static String group(String file) {
    return switch (file) {
      case "noun.animal" -> "animals";
      case "noun.food", "noun.substance", "noun.body", "noun.object" -> "matter";
      case "noun.person", "noun.location" -> "people and places";
      case "noun.plant" -> LATER;
      default -> file.startsWith("verb.") ? "deeds" : "";
    };
  }

  /**
   * Reads it.
   *
   * @param sources the Java domain's file; without it "deeds" takes its place
   */
  static DomainCorpus read(TrainingConfig config, Path sources) {
    Map<String, List<Document>> texts = new LinkedHashMap<>();
    Map<String, Integer> sizes = new LinkedHashMap<>();
    TextSource.wordNet()
        .read(
            document -> {
              String group = document.domain().map(DomainCorpus::group).orElse("");
              int size = sizes.getOrDefault(group, 0);
              if (!group.isEmpty() && size < MOST_CHARS) {
                texts.computeIfAbsent(group, g -> new ArrayList<>()).add(document);
                sizes.put(group, size + document.text().length());
              }
            });
    List<Document> java = JavaSources.read(sources, MOST_CHARS).stream().map(Document::of).toList();
    boolean hasJava = java.size() > 1;
    texts.put("Java", java);
    List<String> names =
        List.of("animals", "matter", "people and places", hasJava ? "Java" : "deeds");
    DocumentSplit split = new DocumentSplit(config.run().seed(), VALIDATION);
    List<Document> all = names.stream().flatMap(n -> texts.get(n).stream()).toList();
    BpeTokenizer tokenizer =
        BpeTrainer.train(TextSource.of("the known domains", all), split, config.data().vocabSize());
    return new DomainCorpus(
        tokenizer,
        names.stream().map(n -> part(n, texts.get(n), tokenizer, split)).toList(),
        part(LATER, texts.get(LATER), tokenizer, split));
  }

  private static Part part(
      String name, List<Document> texts, BpeTokenizer tokenizer, DocumentSplit split) {
    TokenDataset data = TokenDataset.build(TextSource.of(name, texts), tokenizer, split);
    return new Part(name, data.train(), data.validation());
  }
}
