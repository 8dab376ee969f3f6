package org.moe4j.train.data;

/**
 * What one reading of a {@link TextSource} met.
 *
 * @param documents documents handed out
 * @param nulls rows whose text is NULL or absent; skipped
 * @param blanks texts of nothing but white space; skipped
 * @param binaryFiles files of a folder that hold NUL bytes; skipped
 */
public record SourceReport(long documents, long nulls, long blanks, long binaryFiles) {}
