package org.moe4j.train.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Section {@code [data]}. */
public record DataSection(
    @Key(
            doc =
                "The text: \"wordnet\" for the embedded corpus, or files and folders (plain text,"
                    + " JSONL, CSV, Parquet). In a folder each plain text file is one document;"
                    + " where files alone are named, blank lines separate documents.")
        List<String> source,
    @Key(
            doc =
                "SQL that selects the records from the files, for example SELECT body AS text FROM"
                    + " 'posts.parquet' WHERE lang = 'en'.")
        Optional<String> query,
    @Key(doc = "Field of a record that holds its text.") String textField,
    @Key(doc = "Field of a record that names its domain, for the report on which expert sees what.")
        Optional<String> domainField,
    @Key(doc = "Share of the documents kept aside to validate on.", above = 0, below = 1)
        double validationFraction,
    @Key(
            doc =
                "Size of the byte-level BPE vocabulary trained on the text; not used with tokenizer.",
            unit = "tokens",
            min = 257,
            max = 1_000_000)
        int vocabSize,
    @Key(doc = "A tokenizer.json to use instead of training one.") Optional<Path> tokenizer,
    @Key(doc = "Length of a training sequence.", unit = "tokens", min = 2, max = 1_048_576)
        int sequenceLength) {

  /** The name that stands for the embedded corpus. */
  public static final String WORDNET = "wordnet";

  /** Refuses an empty source and settings that the source cannot follow. */
  public DataSection {
    source = List.copyOf(source);
    Check.that(
        !source.isEmpty() && source.stream().noneMatch(String::isBlank),
        "data",
        "source names no text; give \"wordnet\", files or folders");
    Check.that(
        !source.contains(WORDNET) || source.size() == 1,
        "data",
        "source mixes \"wordnet\" with files; train on one of them");
    Check.that(
        query.isEmpty() || !source.contains(WORDNET),
        "data",
        "query selects from files, but source is \"wordnet\"; name the files in source");
    Check.that(!textField.isBlank(), "data", "text-field is empty; name the field with the text");
  }

  static DataSection defaults() {
    return new DataSection(
        List.of(WORDNET),
        Optional.empty(),
        "text",
        Optional.empty(),
        0.02,
        4096,
        Optional.empty(),
        128);
  }

  /** Whether the text is the embedded corpus. */
  public boolean embedded() {
    return source.contains(WORDNET);
  }
}
