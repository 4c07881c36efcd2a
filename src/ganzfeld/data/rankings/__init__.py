"""Rankings: which items a user liked, how relevant the documents of a query are."""
